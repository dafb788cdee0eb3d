package node

import (
	"slices"
	"strings"
)

// Nearest is the one of words that was most likely meant by word, or "" where none is like it: the longer a word, the more
// letters of it may be wrong.
func Nearest(word string, words []string) string {
	best, least := "", min(3, (len(word)+1)/3)+1
	for _, w := range words {
		if d := distance(word, w); d < least {
			best, least = w, d
		}
	}
	return best
}

// NearestKey is the one of keys of settings that was most likely meant, or "". One whose section was forgotten is found too.
func NearestKey(key string, keys []string) string {
	for _, k := range keys {
		if _, last, below := strings.Cut(k, "."); below && key == last {
			return k
		}
	}
	return Nearest(key, keys)
}

// distance counts the bytes to insert, drop, replace or swap between two short words.
func distance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		older, old, now := rows[0], rows[1], rows[2]
		now[0] = i
		for j := 1; j <= len(b); j++ {
			same := 1
			if a[i-1] == b[j-1] {
				same = 0
			}
			now[j] = min(old[j]+1, now[j-1]+1, old[j-1]+same)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], older[j-2]+1)
			}
		}
		rows = [3][]int{old, now, older}
	}
	return rows[1][len(b)]
}

const envPrefix = "MEERKAT_"

// envName is the environment variable of a key.
func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "__"))
}

// Mistyped is an environment variable that nothing reads, and that was probably meant to be. Meant is the one that is like it, or "".
type Mistyped struct{ Name, Meant string }

// MistypedEnv finds, among the NAME=VALUE of environ, what has the form of a setting and is none, and what is nearly a setting or one
// of others, which are further variables that are read. Whatever else begins with MEERKAT_ belongs to somebody else: a script of tests,
// an orchestrator that names the addresses of its services so.
func MistypedEnv(environ []string, others ...string) (found []Mistyped) {
	keys := settingKeys()
	for _, name := range others {
		keys = append(keys, envKey(name))
	}
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		key := envKey(name)
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(keys, key) && envName(key) == name {
			continue
		}
		near := NearestKey(key, keys)
		switch {
		case near != "":
			found = append(found, Mistyped{name, envName(near)})
		case strings.Contains(key, "."):
			found = append(found, Mistyped{Name: name})
		}
	}
	return found
}

// envKey is the key whose variable is called name.
func envKey(name string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, envPrefix), "__", "."))
}
