package pool

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// CheckName reports, as an ErrName, why s cannot name a pool or a node: a name
// is 1 to MaxName bytes of UTF-8 without control characters, without marks
// that turn the direction of writing, and without space at its ends.
func CheckName(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("%w: empty", ErrName)
	case len(s) > MaxName:
		return fmt.Errorf("%w: %d bytes, at most %d", ErrName, len(s), MaxName)
	case !utf8.ValidString(s):
		return fmt.Errorf("%w: not UTF-8", ErrName)
	}
	first, _ := utf8.DecodeRuneInString(s)
	last, _ := utf8.DecodeLastRuneInString(s)
	if unicode.IsSpace(first) || unicode.IsSpace(last) {
		return fmt.Errorf("%w: space at an end", ErrName)
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return fmt.Errorf("%w: control character %U", ErrName, r)
		}
	}
	return nil
}
