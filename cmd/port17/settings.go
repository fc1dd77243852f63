package main

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"safing/internal/settings"
)

// A settingsFile is the option --config: a TOML file whose settings are the
// options of nodeOptions, with _ for -. Options of the command line come first.
type settingsFile string

// BeforeResolve reads the file before kong looks which options are missing.
func (settingsFile) BeforeResolve(ctx *kong.Context, trace *kong.Path) error {
	path := string(ctx.FlagValue(trace.Flag).(settingsFile))
	values, err := readSettings(path)
	if err != nil {
		return err
	}
	ctx.AddResolver(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		v, ok := values[strings.ReplaceAll(flag.Name, "-", "_")]
		if !ok {
			return nil, nil
		}
		isPath := flag.Tag.Type == "path" || flag.Tag.Type == "existingfile"
		switch v := v.(type) {
		case []any:
			for i, one := range v {
				if s, ok := one.(string); ok && isPath {
					v[i] = below(filepath.Dir(path), s)
				}
			}
			return v, nil
		case string:
			if isPath {
				v = below(filepath.Dir(path), v)
			}
			return v, nil
		}
		return fmt.Sprint(v), nil
	}))
	return nil
}

// below returns the path, which is relative to the folder unless absolute.
func below(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// readSettings returns what the file says. Errors begin with file:line:column
// where the file can be blamed for a place.
func readSettings(path string) (map[string]any, error) {
	b, err := settings.Read(path)
	if err != nil {
		return nil, err
	}
	if err := settings.Decode(path, b, new(nodeOptions)); err != nil {
		return nil, err
	}
	var values map[string]any
	return values, settings.Decode(path, b, &values)
}

// A span is a time, written as 90s, 10m or 1h30m.
type span time.Duration

// UnmarshalText reads a time that is not negative.
func (s *span) UnmarshalText(b []byte) error {
	d, err := time.ParseDuration(string(b))
	if err != nil || d < 0 {
		return fmt.Errorf("%q is not a time such as 90s, 10m or 1h", b)
	}
	*s = span(d)
	return nil
}

// String returns what UnmarshalText reads.
func (s span) String() string {
	text := time.Duration(s).String()
	if short, ok := strings.CutSuffix(text, "m0s"); ok {
		return short + "m"
	}
	return text
}

// An amount is a number of bytes, written as 500kB, 10MB, 1.5GB or 2TB.
type amount uint64

// UnmarshalText reads an amount. Its units are powers of 1000, as networks count.
func (a *amount) UnmarshalText(b []byte) error {
	number, unit := string(b), 1.0
	for i, suffix := range []string{"kB", "MB", "GB", "TB"} {
		if n, ok := strings.CutSuffix(number, suffix); ok {
			number, unit = strings.TrimSpace(n), math.Pow(1000, float64(i+1))
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n >= 0 && n*unit < 1<<62) {
		return fmt.Errorf("%q is not a number of bytes such as 500kB, 10MB, 1.5GB or 2TB", b)
	}
	*a = amount(n * unit)
	return nil
}

// String returns what UnmarshalText reads.
func (a amount) String() string {
	unit, suffixes := amount(1), []string{"", "kB", "MB", "GB", "TB"}
	for len(suffixes) > 1 && a > 0 && a%(unit*1000) == 0 {
		unit, suffixes = unit*1000, suffixes[1:]
	}
	return strconv.FormatUint(uint64(a/unit), 10) + suffixes[0]
}
