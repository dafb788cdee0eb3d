package control

import (
	"encoding/json"
	"unicode/utf8"
)

// raw is a path on its way through JSON: a string where it is valid UTF-8, and
// {"b64": "…"} where it is not, for paths are bytes and none may be bent.
type raw string

type rawBytes struct {
	B64 []byte `json:"b64"`
}

// MarshalJSON keeps each byte.
func (r raw) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(r)) {
		return json.Marshal(string(r))
	}
	return json.Marshal(rawBytes{[]byte(r)})
}

// UnmarshalJSON takes either form.
func (r *raw) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*r = raw(s)
		return nil
	}
	var v rawBytes
	err := json.Unmarshal(b, &v)
	*r = raw(v.B64)
	return err
}
