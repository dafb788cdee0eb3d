package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/libp2p/go-libp2p/core/crypto"
)

const (
	identityFile = "identity.key"
	maxIdentity  = 4096
)

// loadIdentity reads the node's key from its home, and makes one if there is
// none. A key that others can read, or that is damaged, is an *Error that says
// what to do: nothing is overwritten.
func loadIdentity(home string) (crypto.PrivKey, error) {
	path := filepath.Join(home, identityFile)
	key, err := readIdentity(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeIdentity(path)
	}
	return key, err
}

func readIdentity(path string) (crypto.PrivKey, error) {
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, trouble("home_unusable", err, "cannot look at %s", path)
	}
	if !fi.Mode().IsRegular() || fi.Size() > maxIdentity {
		return nil, trouble("identity_corrupt", nil, "%s is not a key", path)
	}
	if exposed(fi) {
		return nil, trouble("identity_exposed", nil, "others can read %s, its mode is %04o", path, fi.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, trouble("home_unusable", err, "cannot read %s", path)
	}
	key, err := crypto.UnmarshalPrivateKey(b)
	if err == nil && key.Type() != crypto.Ed25519 {
		err = fmt.Errorf("it is a key of type %s, not Ed25519", key.Type())
	}
	if err != nil {
		return nil, trouble("identity_corrupt", err, "%s is damaged", path)
	}
	return key, nil
}

func makeIdentity(path string) (crypto.PrivKey, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	b, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the key: %w", err)
	}
	if err := writeFile(path, b, 0o600); err != nil {
		return nil, trouble("home_unusable", err, "cannot write %s", path)
	}
	return key, nil
}

// writeFile replaces path durably: after a crash there is the old content or
// the new, whole.
func writeFile(path string, b []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // err says what matters
		return err
	}
	return syncDir(filepath.Dir(path))
}
