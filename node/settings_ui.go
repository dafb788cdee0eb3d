package node

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// DefaultUIAddr is where the dashboard listens unless it is told otherwise or
// the port is taken.
const DefaultUIAddr = "127.0.0.1:7717"

// hashStart is how a hash of ui.password begins.
const hashStart = "$argon2id$"

// Off is the address of what is not to listen.
const Off = "off"

// checkTCPAddr refuses what is neither an address with a port nor "off".
func checkTCPAddr(s string) error {
	if s == Off {
		return nil
	}
	host, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if _, bad := netip.ParseAddr(host); err == nil && bad != nil && host != "localhost" && host != "" {
		err = errors.New("the host is not an IP address")
	}
	if err != nil {
		return fmt.Errorf("%q is not an address such as %s, nor off: %w", s, DefaultUIAddr, err)
	}
	return nil
}

// checkHash refuses a password as it is typed: it would lie in the file for
// everybody to read. The value is not in the error.
func checkHash(s string) error {
	if s != "" && !strings.HasPrefix(s, hashStart) {
		return errors.New(`it holds a hash, never the password itself: set it with "meerkat ui --set-password"`)
	}
	return nil
}

// CheckUI refuses a dashboard that others can reach and everybody may open.
func (s Settings) CheckUI() error {
	if s.UIAddr == Off || s.UIPassword != "" || onlyHere(s.UIAddr) {
		return nil
	}
	return &Error{
		Code: "ui_exposed", Exit: exitUsage,
		Message: fmt.Sprintf("the dashboard at %s could be reached by others, and it has no password", s.UIAddr),
		Hint:    `set one with "meerkat ui --set-password", or keep ui.addr to 127.0.0.1`,
	}
}

// onlyHere reports whether an address is of this machine alone.
func onlyHere(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}
