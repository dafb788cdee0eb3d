package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/bwaklog/meerkat/event"
)

func mapKeys(m map[string]any) iter.Seq[string] { return maps.Keys(m) }

// place is a key's line in a config text.
type place struct {
	line  int // from 0
	table string
	key   string // with its table
}

// places finds what stands at the beginning of each line. It does not look
// into strings of several lines: it serves messages, and edits that are
// checked by reading the result.
func places(text []byte) []place {
	var out []place
	table, n := "", -1
	for line := range bytes.Lines(text) {
		n++
		s := strings.TrimSpace(string(line))
		switch {
		case s == "" || s[0] == '#':
		case strings.HasPrefix(s, "["):
			name, _, _ := strings.Cut(strings.TrimLeft(s, "["), "]")
			table = bareKey(name)
			out = append(out, place{n, table, table})
		default:
			key, _, ok := strings.Cut(s, "=")
			if !ok {
				continue
			}
			key = bareKey(key)
			if table != "" {
				key = table + "." + key
			}
			out = append(out, place{n, table, key})
		}
	}
	return out
}

// bareKey drops space and quotes of a dotted key.
func bareKey(s string) string {
	parts := strings.Split(s, ".")
	for i := range parts {
		parts[i] = strings.Trim(strings.TrimSpace(parts[i]), `"'`)
	}
	return strings.Join(parts, ".")
}

// lineOf is the line of a key, from 1; of a key that is not found, 1.
func lineOf(text []byte, key string) int {
	for _, p := range places(text) {
		if p.key == key || strings.HasPrefix(p.key, key+".") {
			return p.line + 1
		}
	}
	return 1
}

// poolLine is the line of the i-th [[pool]], from 1.
func poolLine(text []byte, i int) int {
	for _, p := range places(text) {
		if p.key != "pool" {
			continue
		}
		if i == 0 {
			return p.line + 1
		}
		i--
	}
	return 1
}

// withPool is c and one more pool at its end.
func (c *configFile) withPool(p HomePool) (*configFile, error) {
	text := bytes.Clone(c.text)
	if len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text, '\n')
	}
	if len(text) > 0 {
		text = append(text, '\n')
	}
	text = fmt.Appendf(text, "[[pool]]\nid = %s\npath = %s\n", tomlString(p.ID.String()), tomlString(p.Path))
	return c.edited(text, c.values, append(slices.Clone(c.pools), p))
}

// withoutPool is c without that pool's table; comments of other tables stay.
func (c *configFile) withoutPool(id event.PoolID) (*configFile, error) {
	i := slices.IndexFunc(c.pools, func(p HomePool) bool { return p.ID == id })
	if i < 0 {
		return c, nil
	}
	lines := slices.Collect(bytes.Lines(c.text))
	from := poolLine(c.text, i) - 1
	to := from + 1
	for _, p := range places(c.text) {
		if p.line > from && p.key == p.table {
			break // the next table
		}
		if p.line > from {
			to = p.line + 1
		}
	}
	if from > 0 && len(bytes.TrimSpace(lines[from-1])) == 0 {
		from--
	}
	text := bytes.Join(slices.Delete(lines, from, to), nil)
	return c.edited(text, c.values, slices.Delete(slices.Clone(c.pools), i, i+1))
}

// with is c with another value for a setting; nil values take the key out.
func (c *configFile) with(key string, values []string) (*configFile, error) {
	s, ok := findSetting(key)
	if !ok {
		return nil, c.unknown(key)
	}
	want := maps.Clone(c.values)
	delete(want, key)
	text, line := c.cutKey(key)
	if values != nil {
		if err := s.put(&Settings{}, values); err != nil {
			return nil, &Error{Code: "config_bad", Message: "setting " + key, Hint: "nothing was changed", Exit: exitUsage, Err: err}
		}
		want[key] = values
		text = insertKey(text, key, s.literal(values), line)
	}
	return c.edited(text, want, c.pools)
}

// literal writes values as TOML.
func (t setting) literal(values []string) string {
	switch t.field(&Settings{}).(type) {
	case *[]string:
		quoted := make([]string, len(values))
		for i, v := range values {
			quoted[i] = tomlString(v)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case *bool, *int:
		return values[0]
	}
	return tomlString(values[0])
}

// tomlString is s as a basic string.
func tomlString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// cutKey takes a key out of the text and tells the line it stood in, -1 if it
// was not there.
func (c *configFile) cutKey(key string) ([]byte, int) {
	for _, p := range places(c.text) {
		if p.key != key || p.table == key {
			continue
		}
		lines := slices.Collect(bytes.Lines(c.text))
		to := p.line + 1
		for to < len(lines) && !isWhole(lines[p.line:to]) {
			to++
		}
		return bytes.Join(slices.Delete(lines, p.line, to), nil), p.line
	}
	return c.text, -1
}

// isWhole reports whether the lines are TOML by themselves, that is, hold a
// whole value.
func isWhole(lines [][]byte) bool {
	var v map[string]any
	return toml.Unmarshal(bytes.Join(lines, nil), &v) == nil
}

// insertKey puts a setting where it stood, or into its section.
func insertKey(text []byte, key, value string, line int) []byte {
	section, name, dotted := strings.Cut(key, ".")
	if !dotted {
		section, name = "", key
	}
	at, inside := line, true
	if line < 0 {
		at, inside = sectionEnd(text, section)
	}
	add := name + " = " + value + "\n"
	if !inside {
		add = "[" + section + "]\n" + add
		if len(text) > 0 {
			add = "\n" + add
		}
	} else if line >= 0 && tableAt(text, line) != section {
		add = key + " = " + value + "\n"
	}
	lines := slices.Collect(bytes.Lines(text))
	if at > 0 && at <= len(lines) && !bytes.HasSuffix(lines[at-1], []byte("\n")) {
		lines[at-1] = append(bytes.Clone(lines[at-1]), '\n')
	}
	return bytes.Join(slices.Insert(lines, at, []byte(add)), nil)
}

// tableAt is the table that a line belongs to.
func tableAt(text []byte, line int) string {
	table := ""
	for _, p := range places(text) {
		if p.line < line && p.key == p.table {
			table = p.table
		}
	}
	return table
}

// sectionEnd is the line behind the last key of a section, and whether the
// section is there; if not, the end of the text.
func sectionEnd(text []byte, section string) (int, bool) {
	at, found := 0, section == ""
	for _, p := range places(text) {
		if p.table == section {
			at, found = p.line+1, true
		}
	}
	if !found {
		return bytes.Count(text, []byte("\n")) + partial(text), false
	}
	return at, true
}

// partial is 1 where the text ends in a line without its end.
func partial(text []byte) int {
	if len(text) > 0 && text[len(text)-1] != '\n' {
		return 1
	}
	return 0
}

// edited reads the new text, and refuses it unless it says what was meant.
func (c *configFile) edited(text []byte, values map[string][]string, pools []HomePool) (*configFile, error) {
	out, err := parseConfig(c.path, text)
	if err == nil && (!maps.EqualFunc(out.values, values, slices.Equal[[]string]) || !slices.Equal(out.pools, pools)) {
		err = errors.New("the change cannot be made without damage to what stands there")
	}
	if err != nil {
		return nil, trouble("config_bad", err, "cannot change %s: edit it by hand", c.path)
	}
	return out, nil
}

// write puts c in the place of the file, durably. A link is followed.
func (c *configFile) write() error {
	path, mode := c.path, fs.FileMode(0o600)
	if p, err := filepath.EvalSymlinks(path); err == nil {
		path = p
	}
	if fi, err := os.Stat(path); err == nil {
		mode = fi.Mode().Perm()
	}
	if err := writeFile(path, c.text, mode); err != nil {
		return trouble("home_unusable", err, "cannot write %s", c.path)
	}
	return nil
}
