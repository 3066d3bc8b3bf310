package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write THIRD_PARTY_NOTICES.md anew, for this system")

const notices = "../../../THIRD_PARTY_NOTICES.md"

// TestNotices holds THIRD_PARTY_NOTICES.md against what is linked into the
// program: licences of the kinds below, and the text of each.
func TestNotices(t *testing.T) {
	texts := licences(t)
	want := noticesText(t, texts)
	if *rewrite {
		if err := os.WriteFile(notices, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(notices)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS+"/"+runtime.GOARCH != "linux/amd64" {
		t.Skip("the file is of linux/amd64, where a few other modules are linked")
	}
	if string(got) != want {
		t.Error("THIRD_PARTY_NOTICES.md is not of what go.mod says; go test ./lakekit/cmd/lakekit -run TestNotices -rewrite writes it anew")
	}
}

// licence is a file that asks to be handed on with what is built.
type licence struct {
	module, file, kind, text string
}

var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|copyright|unlicense)`)

// licences are those in the folders of all packages of the program, up to the
// folder of their module: a package copied from elsewhere has its own.
func licences(t *testing.T) []licence {
	t.Helper()
	c := exec.Command("go", "list", "-deps", "-json=Dir,Module", ".")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	var found []licence
	seen := map[string]bool{}
	of := map[string]int{} // files with a kind, by module
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			Dir    string
			Module *struct {
				Path, Dir string
				Main      bool
			}
		}
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Module == nil || p.Module.Main {
			continue
		}
		of[p.Module.Path] += 0
		for dir := p.Dir; !seen[dir] && strings.HasPrefix(dir, p.Module.Dir); dir = filepath.Dir(dir) {
			seen[dir] = true
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, entry := range entries {
				if !entry.Type().IsRegular() || !licenceFile.MatchString(entry.Name()) || strings.HasSuffix(entry.Name(), ".go") {
					continue
				}
				text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
				if err != nil {
					t.Fatal(err)
				}
				file, _ := filepath.Rel(p.Module.Dir, filepath.Join(dir, entry.Name()))
				l := licence{p.Module.Path, filepath.ToSlash(file), licenceKind(string(text)), strings.TrimSpace(string(text))}
				if l.kind == "" && !strings.HasPrefix(strings.ToLower(entry.Name()), "notice") {
					t.Errorf("%s: %s is a licence of no kind that is known here: may it be handed on?", l.module, l.file)
				}
				if l.kind != "" {
					of[p.Module.Path]++
				}
				found = append(found, l)
			}
		}
	}
	for module, n := range of {
		if n == 0 {
			t.Errorf("%s has no licence", module)
		}
	}
	slices.SortFunc(found, func(a, b licence) int {
		return strings.Compare(a.module+" "+a.file, b.module+" "+b.file)
	})
	return found
}

// licenceKind is the SPDX name of the licences that a program may link, by
// what only their texts say.
func licenceKind(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	var kinds []string
	for _, k := range []struct{ name, says string }{
		{"Apache-2.0", "Apache License Version 2.0, January 2004"},
		{"MIT", "Permission is hereby granted, free of charge, to any person obtaining a copy"},
		{"BSD-2-Clause", "Redistributions of source code must retain the above copyright notice"},
		{"ISC", "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted"},
		{"HPND", "Permission to use, copy, modify, and distribute this software and its documentation for any purpose and without fee is hereby granted"},
		{"MPL-2.0", "Mozilla Public License Version 2.0"},
		{"Zlib", "This software is provided 'as-is', without any express or implied warranty"},
		{"Unlicense", "This is free and unencumbered software released into the public domain"},
	} {
		if strings.Contains(strings.ToLower(text), strings.ToLower(k.says)) {
			if k.name == "BSD-2-Clause" && strings.Contains(text, "be used to endorse or promote products") {
				k.name = "BSD-3-Clause"
			}
			if !slices.Contains(kinds, k.name) {
				kinds = append(kinds, k.name)
			}
		}
	}
	return strings.Join(kinds, " and ")
}

func noticesText(t *testing.T, all []licence) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(`# Third-party notices

What is linked into the program lakekit (Linux on amd64; ` + "`make sbom`" + ` lists the versions), with the licences under which
it is handed on. Exported pages carry Apache ECharts (Apache-2.0), whose file begins with its notice. GoNB, JupyterLab and
what these need are installed by set-up from their own packages, which hold their licences.

| module | licences of its files |
|---|---|
`)
	kinds := map[string][]string{} // by module
	var modules []string
	for _, l := range all {
		if !slices.Contains(modules, l.module) {
			modules = append(modules, l.module)
		}
		for kind := range strings.SplitSeq(l.kind, " and ") {
			if kind != "" && !slices.Contains(kinds[l.module], kind) {
				kinds[l.module] = append(kinds[l.module], kind)
			}
		}
	}
	for _, module := range modules {
		fmt.Fprintf(&b, "| %s | %s |\n", module, strings.Join(kinds[module], ", "))
	}
	users := map[string][]string{}
	var texts []string
	for _, l := range all {
		if users[l.text] == nil {
			texts = append(texts, l.text)
		}
		users[l.text] = append(users[l.text], l.module+" "+l.file)
	}
	for _, text := range texts {
		if strings.Contains(text, "~~~") {
			t.Fatalf("%v: the text holds ~~~, which fences it", users[text])
		}
		fmt.Fprintf(&b, "\n## %s\n\n~~~\n%s\n~~~\n", strings.Join(users[text], ", "), strings.ReplaceAll(text, "\r", ""))
	}
	return b.String()
}
