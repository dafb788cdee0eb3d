package ui

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/crypto/argon2"
)

// What hashing a password costs: 19 MiB and two passes, a fraction of a second
// on a small machine.
const (
	hashMemory = 19 << 10 // KiB
	hashPasses = 2
	hashBytes  = 32
	saltBytes  = 16
	hashPrefix = "$argon2id$v=19$m=19456,t=2,p=1$"
)

// hashing is held while a password is hashed: strangers may ask for it, and are
// not to fill the memory.
var hashing sync.Mutex

// HashPassword gives the text that the setting ui.password holds for a
// password: Argon2id with a salt of its own, in the usual notation.
func HashPassword(password string) string {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails, by its contract
	enc := base64.RawStdEncoding
	return hashPrefix + enc.EncodeToString(salt) + "$" + enc.EncodeToString(hashOf(password, salt))
}

// CheckPassword reports whether hash is one of password. It takes the time of
// one hashing, whatever the answer, and lets one caller hash at a time.
func CheckPassword(hash, password string) bool {
	salt, want, err := parseHash(hash)
	if err != nil {
		return false
	}
	return subtle.ConstantTimeCompare(hashOf(password, salt), want) == 1
}

func hashOf(password string, salt []byte) []byte {
	hashing.Lock()
	defer hashing.Unlock()
	return argon2.IDKey([]byte(password), salt, hashPasses, hashMemory, 1, hashBytes)
}

func parseHash(hash string) (salt, sum []byte, err error) {
	rest, ok := strings.CutPrefix(hash, hashPrefix)
	a, b, two := strings.Cut(rest, "$")
	if !ok || !two {
		return nil, nil, fmt.Errorf("the hash does not begin with %s", hashPrefix)
	}
	if salt, err = base64.RawStdEncoding.DecodeString(a); err != nil {
		return nil, nil, fmt.Errorf("salt: %w", err)
	}
	if sum, err = base64.RawStdEncoding.DecodeString(b); err != nil {
		return nil, nil, fmt.Errorf("sum: %w", err)
	}
	if len(salt) != saltBytes || len(sum) != hashBytes {
		return nil, nil, fmt.Errorf("%d bytes of salt and %d of sum", len(salt), len(sum))
	}
	return salt, sum, nil
}
