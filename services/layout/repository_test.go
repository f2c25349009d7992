package layout

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// root returns the folder with go.work.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.work")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.work in any folder above this one")
		}
		dir = parent
	}
}

// goJSON runs a go command at the root of the workspace and decodes each object that it prints.
func goJSON[T any](t *testing.T, args ...string) []T {
	t.Helper()
	top := root(t)
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = top
	cmd.Env = append(os.Environ(), "GOWORK="+filepath.Join(top, "go.work"))
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, complaint.String())
	}
	var all []T
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var one T
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("decoding what go %s prints: %v", strings.Join(args, " "), err)
		}
		all = append(all, one)
	}
}

func TestImportsOfTheRepository(t *testing.T) {
	listed := goJSON[struct {
		ImportPath                         string
		Standard                           bool
		Imports, TestImports, XTestImports []string
	}](t, "list", "-deps", "-json=ImportPath,Standard,Imports,TestImports,XTestImports", "work")
	var packages []pkg
	own := 0
	for _, l := range listed {
		p := pkg{path: l.ImportPath, standard: l.Standard, imports: l.Imports, tests: append(l.TestImports, l.XTestImports...)}
		packages = append(packages, p)
		if p.ours() {
			own++
		}
	}
	if own < 2 {
		t.Fatalf("go list shows %d packages of ours: the rules have nothing to hold for", own)
	}
	for _, fault := range importFaults(packages) {
		t.Error(fault)
	}
}

// TestModules: a module that required another stage could build alone with what it must not import.
func TestModules(t *testing.T) {
	type module struct {
		Module  struct{ Path string }
		Require []struct{ Path string }
		Replace []struct{ Old, New struct{ Path string } }
	}
	for _, listed := range goJSON[struct{ Path, GoMod string }](t, "list", "-m", "-json=Path,GoMod") {
		if !strings.HasPrefix(listed.Path, prefix) {
			t.Errorf("the module %s does not begin with %s", listed.Path, prefix)
		}
		for _, m := range goJSON[module](t, "mod", "edit", "-json", listed.GoMod) {
			replaced := map[string]bool{}
			for _, r := range m.Replace {
				replaced[r.Old.Path] = true
				if !strings.HasPrefix(r.Old.Path, prefix) {
					t.Errorf("%s replaces %s: only modules of this repository are replaced, by their folders", listed.Path, r.Old.Path)
				}
			}
			for _, r := range m.Require {
				if strings.HasPrefix(r.Path, prefix) && !replaced[r.Path] {
					t.Errorf("%s requires %s without replacing it by its folder: it does not build alone", listed.Path, r.Path)
				}
				allowed := r.Path == "slipstream/proto" || r.Path == "slipstream/deploy/dev" || listed.Path == "slipstream/services"
				if strings.HasPrefix(r.Path, prefix) && !allowed {
					t.Errorf("%s requires %s: besides services, a module requires proto and deploy/dev alone", listed.Path, r.Path)
				}
			}
		}
	}
}

func TestTreeOfTheRepository(t *testing.T) {
	faults, err := treeFaults(os.DirFS(root(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults {
		t.Error(fault)
	}
}
