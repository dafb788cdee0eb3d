package main

import (
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
)

// TestUnitNamesPathsAsTheyAre: only a command line knows variables; specifiers, quotes and blanks count everywhere.
func TestUnitNamesPathsAsTheyAre(t *testing.T) {
	for path, want := range map[string][2]string{ // in ExecStart, and elsewhere
		"/plain":       {`/plain`, `/plain`},
		"/two words":   {`"/two words"`, `"/two words"`},
		"/100%":        {`/100%%`, `/100%%`},
		"/costs $5":    {`"/costs $$5"`, `"/costs $5"`},
		`/a"b`:         {`/a\"b`, `/a\"b`},
		`/back\slash`:  {`/back\\slash`, `/back\\slash`},
		"/it's":        {`"/it's"`, `"/it's"`},
		"/semi;colon":  {`"/semi;colon"`, `"/semi;colon"`},
		"/größe/日本":    {`/größe/日本`, `/größe/日本`},
		"/\xff no UTF": {"\"/\xff no UTF\"", "\"/\xff no UTF\""},
	} {
		command, err1 := quoteCommand(path)
		elsewhere, err2 := quoteUnit(path)
		if command != want[0] || elsewhere != want[1] || err1 != nil || err2 != nil {
			t.Errorf("%q is %s in a command and %s elsewhere (%v, %v), want %s and %s", path, command, elsewhere, err1, err2, want[0], want[1])
		}
	}
}

// TestUnitCannotBeTalkedInto: a folder's name is somebody's to choose, the unit is read by root.
func TestUnitCannotBeTalkedInto(t *testing.T) {
	for _, path := range []string{"/x\nUser=root", "/x\rUser=root", "/x\x00"} {
		if s, err := quoteUnit(path); err == nil {
			t.Errorf("%q stands in a unit as %q", path, s)
		}
		if s, err := quoteCommand(path); err == nil {
			t.Errorf("%q stands in a command as %q", path, s)
		}
	}
}

// TestPlistIsXML reads the file for launchd as a parser does: keys and values take turns, and odd paths survive.
func TestPlistIsXML(t *testing.T) {
	const home = `/Users/ana/<my> "sync" & more`
	d := xml.NewDecoder(strings.NewReader(plist(service{as: "ana"}, "/usr/local/bin/meerkat", home)))
	var kinds, texts []string
	for depth := 0; ; {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := tok.(type) {
		case xml.StartElement:
			if depth++; depth == 3 {
				kinds = append(kinds, e.Name.Local)
			}
		case xml.EndElement:
			depth--
		case xml.CharData:
			if s := strings.TrimSpace(string(e)); s != "" {
				texts = append(texts, s)
			}
		}
	}
	want := []string{"key", "string", "key", "array", "key", "string", "key", "true", "key", "dict", "key", "integer", "key", "integer", "key", "string"}
	if !reflect.DeepEqual(kinds, want) {
		t.Errorf("elements %v, want %v", kinds, want)
	}
	for _, want := range []string{"/usr/local/bin/meerkat", home, home + "/meerkat.log", "ana"} {
		if !strings.Contains("\n"+strings.Join(texts, "\n")+"\n", "\n"+want+"\n") {
			t.Errorf("the plist does not hold %q: %q", want, texts)
		}
	}
}
