package main

import (
	"github.com/mdp/qrterminal/v3"
)

// qr shows text as a QR code on stdout, two modules a character high.
func (a *app) qr(text string) error {
	w := &keepError{to: a.out.Write}
	qrterminal.GenerateWithConfig(text, qrterminal.Config{
		Level: qrterminal.L, Writer: w, HalfBlocks: true, QuietZone: 2,
		BlackChar: qrterminal.BLACK_BLACK, WhiteBlackChar: qrterminal.WHITE_BLACK,
		WhiteChar: qrterminal.WHITE_WHITE, BlackWhiteChar: qrterminal.BLACK_WHITE,
	})
	return w.err
}

// keepError remembers the first error of a writer whose caller drops it.
type keepError struct {
	to  func([]byte) (int, error)
	err error
}

func (w *keepError) Write(b []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.to(b)
	w.err = err
	return n, err
}
