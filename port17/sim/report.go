package sim

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A Report is what a simulation found.
type Report struct {
	Name   string  `json:"name"`
	Config Options `json:"config"`
	// Results are values of types that depend on the report, such as Latency.
	Results any     `json:"results"`
	Tables  []Table `json:"tables"`
	Charts  []Chart `json:"charts"`
}

// A Table is one of the report, as text.
type Table struct {
	Title  string     `json:"title"`
	Header []string   `json:"header"`
	Rows   [][]string `json:"rows"`
}

// Markdown returns the tables. The first column is text, the others are numbers.
func (r *Report) Markdown() string {
	var b strings.Builder
	for _, t := range r.Tables {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s\n\n| %s |\n|---%s|\n", t.Title, strings.Join(t.Header, " | "), strings.Repeat("|--:", len(t.Header)-1))
		for _, row := range t.Rows {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		}
	}
	return b.String()
}

// Write writes NAME.md, NAME.json and a file for each chart into the folder,
// which it makes if need be.
func (r *Report) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the folder of reports: %w", err)
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write report %s: %w", r.Name, err)
	}
	files := map[string]string{r.Name + ".json": string(b) + "\n", r.Name + ".md": r.Markdown()}
	for _, c := range r.Charts {
		files[c.Name+".svg"] = c.SVG()
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	return nil
}
