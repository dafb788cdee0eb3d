package control

import (
	"encoding/base64"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes text of others harmless to show: control characters, invalid
// UTF-8, and the invisible marks that turn text around are escaped.
func Clean(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		case !unicode.IsPrint(r) && !unicode.Is(unicode.Zs, r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// RawPath is the path as it is, of the two fields that JSON carries it in.
func RawPath(path, b64 string) string {
	if b, err := base64.StdEncoding.DecodeString(b64); err == nil && b64 != "" {
		return string(b)
	}
	return path
}
