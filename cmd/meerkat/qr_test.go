package main

import (
	"bytes"
	"image"
	"image/color"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// What is shown as a QR code reads back, up to the longest ticket that fits one.
func TestQRReadsBack(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	for name, text := range map[string]string{
		"an id":          "12D3KooWKev2VjbHrycWjxC2JTgTcoD3GRwtubaBsQiJDb3hwzDj",
		"a short ticket": "mkt1" + noise(dice, 240),
		"a long ticket":  "mkt1" + noise(dice, 900),
	} {
		var out bytes.Buffer
		a := &app{stdio: stdio{out: &out}}
		if err := a.qr(text); err != nil {
			t.Fatal(err)
		}
		if got, err := readQR(out.String()); err != nil || got != text {
			t.Errorf("%s reads back as %q, %v", name, got, err)
		}
	}
}

func noise(dice *rand.Rand, n int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[dice.IntN(len(letters))]
	}
	return string(b)
}

// readQR decodes what a terminal shows: light characters on a dark ground, two
// modules high.
func readQR(shown string) (string, error) {
	const size = 4 // pixels of a module
	lines := strings.Split(strings.TrimRight(shown, "\n"), "\n")
	// The lower half of the last line is the terminal's own ground.
	img := image.NewGray(image.Rect(0, 0, size*len([]rune(lines[0])), size*(2*len(lines)-1)))
	for y, line := range lines {
		for x, r := range []rune(line) {
			paint(img, x*size, 2*y*size, size, r == '█' || r == '▀')
			paint(img, x*size, (2*y+1)*size, size, r == '█' || r == '▄')
		}
	}
	m, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		return "", err
	}
	res, err := qrcode.NewQRCodeReader().Decode(m, map[gozxing.DecodeHintType]any{gozxing.DecodeHintType_PURE_BARCODE: true})
	if err != nil {
		return "", err
	}
	return res.GetText(), nil
}

func paint(img *image.Gray, x, y, size int, light bool) {
	if !light {
		return
	}
	for dy := range size {
		for dx := range size {
			img.SetGray(x+dx, y+dy, color.Gray{Y: 255})
		}
	}
}
