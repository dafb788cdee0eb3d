package ui

import (
	"fmt"
	"strings"

	"rsc.io/qr"
)

const quiet = 4 // modules of white around a code, as its standard asks

// code is a QR code as the outline of its dark modules.
type code struct {
	Side int    // of the square, in modules, the quiet zone included
	Path string // in the language of SVG's <path d>
}

func newCode(text string) (*code, error) {
	c, err := qr.Encode(text, qr.L)
	if err != nil {
		return nil, fmt.Errorf("QR code of %d bytes: %w", len(text), err)
	}
	var b strings.Builder
	for y := range c.Size {
		for x := 0; x < c.Size; x++ {
			n := 0
			for x+n < c.Size && c.Black(x+n, y) {
				n++
			}
			if n > 0 {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, n, n)
				x += n
			}
		}
	}
	return &code{c.Size + 2*quiet, b.String()}, nil
}
