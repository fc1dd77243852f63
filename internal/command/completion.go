package command

import (
	"fmt"
	"slices"
	"strings"
	"text/template"

	"github.com/alecthomas/kong"
)

// Completion is the sub-command `completion`.
type Completion struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

// Help says how the script is used.
func (c *Completion) Help() string {
	return "For this session:  source <(PROGRAM completion bash)\n\n" +
		"For good, bash:    PROGRAM completion bash > /etc/bash_completion.d/PROGRAM\n\n" +
		"For good, zsh:     PROGRAM completion zsh > \"${fpath[1]}/_PROGRAM\"\n\n" +
		"For good, fish:    PROGRAM completion fish > ~/.config/fish/completions/PROGRAM.fish"
}

// Run prints the script.
func (c *Completion) Run(app *kong.Kong, io IO) error {
	t, ok := scripts()[c.Shell]
	if !ok {
		return fmt.Errorf("no completion for %q: choose bash, zsh or fish", c.Shell)
	}
	return t.Execute(io.Out, script{Name: app.Model.Name, Places: places(app.Model.Node)})
}

// A script is what the templates are filled with.
type script struct {
	Name   string
	Places []place
}

// A place is a point in the command line, after the words in Path, with the
// words that may follow.
type place struct {
	Path  string
	Words []word
}

type word struct{ Text, Help string }

// List is the words of the place, separated by spaces.
func (p place) List() string {
	texts := make([]string, len(p.Words))
	for i, w := range p.Words {
		texts[i] = w.Text
	}
	return strings.Join(texts, " ")
}

// places walks the grammar, parents first.
func places(n *kong.Node) []place {
	var walk func(n *kong.Node, path []string) []place
	walk = func(n *kong.Node, path []string) []place {
		all := []place{{Path: strings.Join(path, " "), Words: words(n)}}
		for _, child := range n.Children {
			if !child.Hidden {
				all = append(all, walk(child, append(slices.Clone(path), child.Name))...)
			}
		}
		return all
	}
	return walk(n, nil)
}

// words are the commands, fixed arguments and flags that may follow at n.
func words(n *kong.Node) []word {
	var w []word
	for _, child := range n.Children {
		if !child.Hidden {
			w = append(w, word{child.Name, oneLine(child.Help)})
		}
	}
	for _, p := range n.Positional {
		for _, value := range strings.Split(p.Enum, ",") {
			if value = strings.TrimSpace(value); value != "" {
				w = append(w, word{value, oneLine(p.Help)})
			}
		}
	}
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			w = append(w, word{"--" + f.Name, oneLine(f.Help)})
		}
	}
	return w
}

// oneLine makes help safe inside single quotes and brackets of all shells.
func oneLine(help string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '\'', '"', '`', '\\', '$', '[', ']', ':':
			return -1
		case '\n':
			return ' '
		}
		return r
	}, help)
}

func scripts() map[string]*template.Template {
	functions := template.FuncMap{
		"function": func(name string) string { return strings.ReplaceAll(name, "-", "_") },
	}
	parse := func(text string) *template.Template {
		return template.Must(template.New("").Funcs(functions).Parse(strings.TrimLeft(text, "\n")))
	}
	return map[string]*template.Template{"bash": parse(bashScript), "zsh": parse(zshScript), "fish": parse(fishScript)}
}

const bashScript = `
# bash completion for {{.Name}}
_{{function .Name}}() {
	local cur=${COMP_WORDS[COMP_CWORD]} path="" word
	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		case $word in -*) ;; *) path="${path:+$path }$word" ;; esac
	done
	local words=""
	case $path in
{{- range .Places}}
	"{{.Path}}") words="{{.List}}" ;;
{{- end}}
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}
complete -o default -F _{{function .Name}} {{.Name}}
`

const zshScript = `
#compdef {{.Name}}
_{{function .Name}}() {
	local path="" word
	for word in "${words[@]:1:$((CURRENT-2))}"; do
		case $word in -*) ;; *) path="${path:+$path }$word" ;; esac
	done
	local -a choices
	case $path in
{{- range .Places}}
	"{{.Path}}") choices=({{range .Words}} '{{.Text}}:{{.Help}}'{{end}} ) ;;
{{- end}}
	esac
	_describe '{{.Name}}' choices || _files
}
if [ "$funcstack[1]" = "_{{function .Name}}" ]; then _{{function .Name}} "$@"; else compdef _{{function .Name}} {{.Name}}; fi
`

const fishScript = `
# fish completion for {{.Name}}
function __{{function .Name}}_at
	set -l path
	for word in (commandline -opc)[2..-1]
		string match -q -- '-*' $word; or set -a path $word
	end
	test "$path" = "$argv"
end
{{- $name := .Name}}
{{- range .Places}}{{$path := .Path}}
{{- range .Words}}
complete -c {{$name}} -n '__{{function $name}}_at {{$path}}' -a '{{.Text}}' -d '{{.Help}}'
{{- end}}
{{- end}}
`
