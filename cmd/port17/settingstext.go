package main

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// text returns the options as a file of settings that --config reads. Those that
// have their defaults are left out.
func (o *nodeOptions) text() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("# Settings of a Port17 node, made by port17 node join; docs/node.md explains them.\n")
	v := reflect.ValueOf(o).Elem()
	for _, f := range reflect.VisibleFields(v.Type()) {
		name, ok := f.Tag.Lookup("toml")
		if !ok {
			continue
		}
		value := v.FieldByIndex(f.Index)
		if plain(value) == f.Tag.Get("default") || value.IsZero() && f.Tag.Get("default") == "" {
			continue
		}
		setting := value.Interface()
		if _, ok := setting.(fmt.Stringer); ok {
			setting = plain(value)
		}
		line, err := toml.Marshal(map[string]any{name: setting})
		if err != nil {
			return nil, fmt.Errorf("write the setting %s: %w", name, err)
		}
		b.Write(line)
	}
	return b.Bytes(), nil
}

// plain returns a value as the command line has it.
func plain(v reflect.Value) string {
	if list, ok := v.Interface().([]string); ok {
		return strings.Join(list, ",")
	}
	return fmt.Sprint(v.Interface())
}
