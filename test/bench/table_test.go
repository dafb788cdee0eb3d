package bench

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// row is one line of the table.
type row struct {
	work, here, beside, ratio, bar, met string
}

var table []row

// bar is what a figure is held against. The zero value is no bar.
type bar struct {
	value float64
	floor bool // the figure must reach the value, else stay within it
	text  string
}

func atMost(v float64, format string) bar {
	return bar{value: v, text: "≤ " + fmt.Sprintf(format, v)}
}

func atLeast(v float64, format string) bar {
	return bar{value: v, floor: true, text: "≥ " + fmt.Sprintf(format, v)}
}

func (b bar) met(v float64) string {
	switch {
	case b.text == "":
		return ""
	case b.floor == (v >= b.value) || v == b.value:
		return "yes"
	}
	return "NO"
}

// add appends a row: the figure as a format and a value, what stood beside it,
// and their ratio, where there is one.
func add(work, format string, v float64, beside, ratio string, b bar) {
	r := row{work, fmt.Sprintf(format, v), beside, ratio, b.text, b.met(v)}
	table = append(table, r)
	fmt.Printf("  %s: %s; %s %s %s %s\n", r.work, r.here, r.beside, r.ratio, r.bar, r.met)
}

// ratio appends a row of which the bar holds the ratio of two figures.
func addRatio(work, format string, v, beside float64, besideName string, b bar) {
	r := row{
		work, fmt.Sprintf(format, v), besideName + " " + fmt.Sprintf(format, beside),
		fmt.Sprintf("%.2f", v/beside), b.text, b.met(v / beside),
	}
	table = append(table, r)
	fmt.Printf("  %s: %s; %s %s %s %s\n", r.work, r.here, r.beside, r.ratio, r.bar, r.met)
}

func printTable(w io.Writer) {
	if len(table) == 0 {
		return
	}
	rows := append([]row{{"work", "meerkat", "beside it", "ratio", "bar", "met"}}, table...)
	var wide [6]int
	for _, r := range rows {
		for i, c := range r.cells() {
			wide[i] = max(wide[i], utf8.RuneCountInString(c))
		}
	}
	for n, r := range rows {
		printRow(w, r.cells(), wide, " ")
		if n == 0 {
			printRow(w, row{}.cells(), wide, "-")
		}
	}
}

func (r row) cells() [6]string {
	return [6]string{r.work, r.here, r.beside, r.ratio, r.bar, r.met}
}

func printRow(w io.Writer, cells [6]string, wide [6]int, fill string) {
	var b strings.Builder
	for i, c := range cells {
		b.WriteString("|" + fill + c + strings.Repeat(fill, wide[i]-utf8.RuneCountInString(c)) + fill)
	}
	fmt.Fprintln(w, b.String()+"|")
}
