package control

import "net/http"

// Handler is the front door without its socket.
func Handler(b Backend) http.Handler { return handler(b) }

// Verbs lists every door.
func Verbs() []string {
	var names []string
	for v := range doors() {
		names = append(names, v)
	}
	return names
}

// AsFault is what the client makes of a line.
func AsFault(line []byte) error { return asFault(line) }
