// Package secret resolves the references that a configuration may hold in place of a value (spec 2.4). Services resolve
// them in the process that connects and nowhere else; a resolved value is never stored, logged or sent on (G10).
//
// References: ${env:NAME} (NAME, then REDIS_DI_NAME), ${NAME} (the same), ${file:/path} (the whole file),
// ${file:/path:property} (one line property=value of it), ${secrets:name} (a file of that name in the folder
// SLIPSTREAM_SECRETS_DIR, else the variable SLIPSTREAM_SECRET_NAME). One trailing newline of a file is dropped.
// $${ stands for a literal ${. Errors name the reference, never a value.
package secret

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/proto"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"
)

// ErrUnresolved is wrapped by every error of a reference that leads nowhere.
var ErrUnresolved = errors.New("reference cannot be resolved")

// Environment variables that say where ${secrets:name} is kept.
const (
	// DirVariable names the folder with one file a secret.
	DirVariable = "SLIPSTREAM_SECRETS_DIR"
	// VariablePrefix is put before the upper-case name, hyphens as underscores.
	VariablePrefix = "SLIPSTREAM_SECRET_"
)

// HasReference says whether s holds a reference.
func HasReference(s string) bool {
	for i := 0; ; {
		j := strings.Index(s[i:], "${")
		if j < 0 {
			return false
		}
		if i+j == 0 || s[i+j-1] != '$' {
			return true
		}
		i += j + 2
	}
}

// Resolve replaces every reference in s.
func Resolve(s string) (string, error) {
	if !strings.Contains(s, "${") {
		return s, nil
	}
	var out strings.Builder
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			out.WriteString(s)
			return out.String(), nil
		}
		if i > 0 && s[i-1] == '$' {
			out.WriteString(s[:i-1])
			out.WriteString("${")
			s = s[i+2:]
			continue
		}
		end := strings.IndexByte(s[i:], '}')
		if end < 0 {
			return "", fmt.Errorf("%w: no closing brace after %q", ErrUnresolved, "${")
		}
		v, err := look(s[i+2 : i+end])
		if err != nil {
			return "", err
		}
		out.WriteString(s[:i])
		out.WriteString(v)
		s = s[i+end+1:]
	}
}

// look finds the value of one reference, given without its braces.
func look(ref string) (string, error) {
	kind, rest, found := strings.Cut(ref, ":")
	if !found {
		return env(ref)
	}
	switch kind {
	case "env":
		return env(rest)
	case "file":
		return file(rest)
	case "secrets":
		return stored(rest)
	}
	return "", fmt.Errorf("%w: ${%s}: kind %q is unknown, use env, file or secrets", ErrUnresolved, ref, kind)
}

func env(name string) (string, error) {
	for _, n := range []string{name, "REDIS_DI_" + name} {
		if v, ok := os.LookupEnv(n); ok {
			return v, nil
		}
	}
	return "", fmt.Errorf("%w: environment variable %s is not set", ErrUnresolved, name)
}

func file(ref string) (string, error) {
	if text, err := os.ReadFile(ref); err == nil {
		return trimNewline(text), nil
	}
	i := strings.LastIndexByte(ref, ':')
	if i < 0 {
		return "", fmt.Errorf("%w: file %s cannot be read", ErrUnresolved, ref)
	}
	path, property := ref[:i], ref[i+1:]
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("%w: file %s cannot be read", ErrUnresolved, path)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), "=")
		if ok && strings.TrimSpace(name) == property {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("%w: file %s has no property %s", ErrUnresolved, path, property)
}

func stored(name string) (string, error) {
	if dir := os.Getenv(DirVariable); dir != "" && filepath.IsLocal(name) {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			return trimNewline(text), nil
		}
	}
	variable := VariablePrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	if v, ok := os.LookupEnv(variable); ok {
		return v, nil
	}
	return "", fmt.Errorf("%w: secret %s is neither a file in $%s nor the variable %s", ErrUnresolved, name, DirVariable, variable)
}

func trimNewline(text []byte) string {
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
}

// defaultPassword is the secret that is the password of targets that have none (spec 14, A25).
const defaultPassword = "target-password"

// passwordless are connections that the default password is not for: the Redis of the source and of the streams, and files.
func passwordless(c *pipelinev1.Connection) bool {
	return c.GetName() == "source" || c.GetName() == "streams" || c.GetType() == "sqlite"
}

// Connection returns a copy of c with every reference resolved, and with the secret target-password, where there is one, as the
// password of a target that has none. All attributes that fail are named in one error.
func Connection(c *pipelinev1.Connection) (*pipelinev1.Connection, error) {
	out := proto.CloneOf(c)
	var errs []error
	set := func(name string, v *string) {
		r, err := Resolve(*v)
		if err != nil {
			errs = append(errs, fmt.Errorf("connection %s, attribute %s: %w", c.Name, name, err))
			return
		}
		*v = r
	}
	set("host", &out.Host)
	set("port", &out.Port)
	set("database", &out.Database)
	set("user", &out.User)
	set("password", &out.Password)
	for _, m := range []map[string]string{out.Args, out.Options} {
		for name, v := range m {
			set(name, &v)
			m[name] = v
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if out.Password == "" && !passwordless(c) {
		if password, err := stored(defaultPassword); err == nil {
			out.Password = password
		}
	}
	return out, nil
}
