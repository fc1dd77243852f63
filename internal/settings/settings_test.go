package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type known struct {
	Name  string `toml:"name"`
	Inner struct {
		Count int `toml:"count"`
	} `toml:"inner"`
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.toml")
	for text, want := range map[string]string{
		"":                                  "",
		"name = \"x\"\n[inner]\ncount = 3":  "",
		"nme = \"x\"":                       path + `:1:1: there is no setting "nme"`,
		"[inner]\ncuont = 3":                path + `:2:1: there is no setting "inner.cuont"`,
		"[inner]\ncount = \"three\"":        path + ":2:9: ",
		"name = ":                           path + ":1:",
		strings.Repeat("#", MaxSize+1):      path + ": larger than 1048576 bytes",
		"name = \"x\"\nname = \"y\"":        path + ":2:1: ",
		"\xff":                              path + ":1:1: ",
		"name = \"x\"\n[inner]\n[inner.on]": path + `:3:2: there is no setting "inner.on"`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var k known
		err := Load(path, &k)
		switch {
		case want == "" && err != nil:
			t.Errorf("%.30q: %v", text, err)
		case want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)):
			t.Errorf("%.30q: error %v, want %q", text, err, want)
		}
	}
	if err := Load(path+"x", new(known)); !os.IsNotExist(err) && !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestDecodeMap(t *testing.T) {
	var values map[string]any
	if err := Decode("a.toml", []byte("any = 1"), &values); err != nil || values["any"] != int64(1) {
		t.Errorf("%v, %v", values, err)
	}
}
