package secret_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipstream/proto/secret"
	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// TestResolve covers spec 2.4.
func TestResolve(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	whole := write("pw", "s3cret\n")
	props := write("props", "user = fleet\npassword=a=b\n")
	write("target-password", "from-folder\r\n")
	t.Setenv("FLEET_PW", "from-env")
	t.Setenv("REDIS_DI_OLD", "prefixed")
	t.Setenv("SLIPSTREAM_SECRET_OTHER_ONE", "from-variable")
	t.Setenv(secret.DirVariable, dir)

	for name, tc := range map[string]struct{ in, want string }{
		"plain":               {"fleet", "fleet"},
		"env":                 {"${env:FLEET_PW}", "from-env"},
		"env, old prefix":     {"${env:OLD}", "prefixed"},
		"bare name":           {"${FLEET_PW}", "from-env"},
		"inside text":         {"a-${FLEET_PW}-${env:OLD}-z", "a-from-env-prefixed-z"},
		"file":                {"${file:" + whole + "}", "s3cret"},
		"file property":       {"${file:" + props + ":user}", "fleet"},
		"property with =":     {"${file:" + props + ":password}", "a=b"},
		"secret in folder":    {"${secrets:target-password}", "from-folder"},
		"secret in variable":  {"${secrets:other-one}", "from-variable"},
		"escaped":             {"$${env:FLEET_PW}", "${env:FLEET_PW}"},
		"escaped and a value": {"$${x} ${FLEET_PW}", "${x} from-env"},
		"lone dollar":         {"pa$$word$", "pa$$word$"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := secret.Resolve(tc.in)
			if err != nil || got != tc.want {
				t.Errorf("got %q, %v, want %q", got, err, tc.want)
			}
			if secret.HasReference(tc.in) != (strings.Contains(tc.in, "${") && name != "escaped") {
				t.Errorf("HasReference(%q) is wrong", tc.in)
			}
		})
	}
	for name, tc := range map[string]struct{ in, names string }{
		"env missing":      {"${env:NOT_THERE}", "NOT_THERE"},
		"file missing":     {"${file:/not/there}", "/not/there"},
		"property missing": {"${file:" + props + ":host}", "host"},
		"secret missing":   {"${secrets:gone}", "gone"},
		"secret escapes":   {"${secrets:../pw}", "../pw"},
		"unknown kind":     {"${vault:x}", "vault"},
		"no brace":         {"${env:FLEET_PW", "closing brace"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := secret.Resolve(tc.in)
			if !errors.Is(err, secret.ErrUnresolved) || !strings.Contains(err.Error(), tc.names) {
				t.Errorf("got %v, want it to name %s", err, tc.names)
			}
			if err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "fleet")) {
				t.Errorf("%v shows a value (G10)", err)
			}
		})
	}
}

// TestConnection resolves every attribute, names every failure, and leaves its argument alone (G10).
func TestConnection(t *testing.T) {
	t.Setenv("H", "pg.internal")
	in := &pipelinev1.Connection{
		Name: "fleet", Host: "${H}", Port: "5432", Password: "${env:H}",
		Args: map[string]string{"sslrootcert": "${H}/ca"}, Options: map[string]string{"statement_timeout": "5"},
	}
	out, err := secret.Connection(in)
	if err != nil {
		t.Fatal(err)
	}
	if out.Host != "pg.internal" || out.Password != "pg.internal" || out.Args["sslrootcert"] != "pg.internal/ca" || out.Options["statement_timeout"] != "5" {
		t.Errorf("resolved to %v", out)
	}
	if in.Host != "${H}" || in.Args["sslrootcert"] != "${H}/ca" {
		t.Errorf("the argument changed: %v", in)
	}
	in.User, in.Args["x"] = "${env:NO_USER}", "${env:NO_X}"
	_, err = secret.Connection(in)
	if err == nil || !strings.Contains(err.Error(), "NO_USER") || !strings.Contains(err.Error(), "NO_X") || !strings.Contains(err.Error(), "attribute user") {
		t.Errorf("got %v, want both failures named", err)
	}
}

// TestDefaultPassword: the secret target-password is the password of targets that have none, and of nothing else (A25).
func TestDefaultPassword(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(secret.DirVariable, dir)
	password := func(c *pipelinev1.Connection) string {
		t.Helper()
		out, err := secret.Connection(c)
		if err != nil {
			t.Fatal(err)
		}
		return out.GetPassword()
	}
	target := &pipelinev1.Connection{Name: "fleet", Type: "postgresql"}
	if got := password(target); got != "" {
		t.Errorf("without the secret the password is %q", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "target-password"), []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := password(target); got != "s3cret" || target.GetPassword() != "" {
		t.Errorf("the password is %q, that of the argument %q", got, target.GetPassword())
	}
	for _, c := range []*pipelinev1.Connection{
		{Name: "fleet", Type: "postgresql", Password: "own"},
		{Name: "source", Type: "redis"},
		{Name: "streams", Type: "redis"},
		{Name: "file", Type: "sqlite"},
	} {
		if got := password(c); got != c.GetPassword() {
			t.Errorf("the password of %s is %q", c.GetName(), got)
		}
	}
}
