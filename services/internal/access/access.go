// Package access decides who may call the gateway: bearer tokens and client certificates, each with a role, from a file.
//
//	tokens:
//	  - name: grafana
//	    role: reader
//	    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//	  - name: deployer
//	    role: operator
//	    token: ${file:/run/secrets/deployer}
//	certificates:
//	  - name: ops.example.org   # a host name or the common name in a certificate that --tls-ca signed
//	    role: operator
//
// A reader sees what is there and changes nothing; an operator may do everything. Who shows neither a token nor such a
// certificate is refused. The file is read again when it changes.
package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-yaml"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"slipstream/proto/secret"
	"slipstream/services/internal/host"
)

// Roles.
const (
	// Reader may call what changes nothing.
	Reader = "reader"
	// Operator may call everything.
	Operator = "operator"
)

// member is somebody who may call.
type member struct {
	name, role string
	hash       [sha256.Size]byte // of the token; zero for certificates
}

// Guard knows who may call what.
type Guard struct {
	path  string
	reads func(method string) bool
	mark  func(context.Context) context.Context
	log   *slog.Logger

	mu           sync.Mutex
	stamp        string
	looked       time.Time
	tokens       []member
	certificates map[string]member
}

// lookEvery is how often the file is looked at.
const lookEvery = time.Second

// Open reads the file at path. reads says of a method whether readers may call it; mark marks the context of their calls.
func Open(
	path string, reads func(method string) bool, mark func(context.Context) context.Context, log *slog.Logger,
) (*Guard, error) {
	g := &Guard{path: path, reads: reads, mark: mark, log: log}
	return g, g.read()
}

// entry is a line of the file.
type entry struct {
	Name   string `yaml:"name"`
	Role   string `yaml:"role"`
	Token  string `yaml:"token"`
	SHA256 string `yaml:"sha256"`
}

type file struct {
	Tokens       []entry `yaml:"tokens"`
	Certificates []entry `yaml:"certificates"`
}

// read reads the file. On an error what was read before stays.
func (g *Guard) read() error {
	info, err := os.Stat(g.path)
	if err != nil {
		return fmt.Errorf("reading who may call (--access): %w", err)
	}
	text, err := os.ReadFile(g.path)
	if err != nil {
		return fmt.Errorf("reading who may call (--access): %w", err)
	}
	var f file
	if err := yaml.UnmarshalWithOptions(text, &f, yaml.Strict()); err != nil {
		// The library's message shows the lines around, which may hold a token (G10).
		return fmt.Errorf("reading who may call (--access): %s is not of the form tokens: [{name, role, sha256 or token}], certificates: [{name, role}]", g.path)
	}
	tokens, certificates, err := members(f)
	if err != nil {
		return fmt.Errorf("reading who may call (--access): %s: %w", g.path, err)
	}
	g.tokens, g.certificates, g.stamp, g.looked = tokens, certificates, stampOf(info), time.Now()
	return nil
}

func stampOf(info os.FileInfo) string {
	return fmt.Sprintf("%d %s", info.Size(), info.ModTime().Format(time.RFC3339Nano))
}

// shortest is how many characters a token has at least.
const shortest = 16

func members(f file) (tokens []member, certificates map[string]member, err error) {
	certificates = make(map[string]member)
	var errs []error
	seen := make(map[string]bool)
	check := func(kind string, i int, e entry) bool {
		at := fmt.Sprintf("%s[%d]", kind, i)
		before := len(errs)
		if e.Name == "" {
			errs = append(errs, fmt.Errorf("%s: name is missing", at))
		} else if seen[e.Name] {
			errs = append(errs, fmt.Errorf("%s: %s is there twice", at, e.Name))
		}
		seen[e.Name] = true
		if e.Role != Reader && e.Role != Operator {
			errs = append(errs, fmt.Errorf("%s: role %q: write %s or %s", at, e.Role, Reader, Operator))
		}
		if kind == "certificates" && (e.Token != "" || e.SHA256 != "") {
			errs = append(errs, fmt.Errorf("%s: a certificate has no token", at))
		}
		return len(errs) == before
	}
	for i, e := range f.Tokens {
		if !check("tokens", i, e) {
			continue
		}
		m := member{name: e.Name, role: e.Role}
		if err := m.hold(e); err != nil {
			errs = append(errs, fmt.Errorf("tokens[%d]: %w", i, err))
			continue
		}
		tokens = append(tokens, m)
	}
	for i, e := range f.Certificates {
		if check("certificates", i, e) {
			certificates[e.Name] = member{name: e.Name, role: e.Role}
		}
	}
	if len(errs) == 0 && len(tokens)+len(certificates) == 0 {
		errs = append(errs, errors.New("it names nobody, so nobody could call"))
	}
	return tokens, certificates, errors.Join(errs...)
}

// hold takes the hash of the token, which is written as such, or as the token that a reference leads to.
func (m *member) hold(e entry) error {
	switch {
	case (e.Token == "") == (e.SHA256 == ""):
		return errors.New("write sha256: with the token's SHA-256 in hex, or token: with a reference such as ${file:/path}")
	case e.SHA256 != "":
		sum, err := hex.DecodeString(strings.ToLower(e.SHA256))
		if err != nil || len(sum) != sha256.Size {
			return errors.New("sha256 must be 64 hexadecimal digits: printf %s \"$TOKEN\" | sha256sum")
		}
		copy(m.hash[:], sum)
		return nil
	}
	token, err := secret.Resolve(e.Token)
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	if len(token) < shortest {
		return fmt.Errorf("the token has fewer than %d characters: openssl rand -hex 32 makes a good one", shortest)
	}
	m.hash = sha256.Sum256([]byte(token))
	return nil
}

// refresh reads the file again when it has changed. A file that cannot be read leaves things as they were.
func (g *Guard) refresh() {
	if time.Since(g.looked) < lookEvery {
		return
	}
	g.looked = time.Now()
	info, err := os.Stat(g.path)
	if err == nil && stampOf(info) == g.stamp {
		return
	}
	if err == nil {
		err = g.read()
	}
	if err != nil {
		g.log.Warn("the file of those who may call cannot be read; those read before stay", "error", err)
		return
	}
	g.log.Info("who may call was read anew", "tokens", len(g.tokens), "certificates", len(g.certificates))
}

// Admit implements host.Admit.
func (g *Guard) Admit(ctx context.Context, method string) (context.Context, error) {
	p, _ := peer.FromContext(ctx)
	given := metadata.ValueFromIncomingContext(ctx, "authorization")
	m, why := g.who(p, given)
	if why != "" {
		return ctx, status.Error(codes.Unauthenticated, why)
	}
	if m.role != Operator && !g.reads(method) {
		g.log.WarnContext(ctx, "call refused", "caller", m.name, "role", m.role, "method", method)
		return ctx, status.Errorf(codes.PermissionDenied, "%s has the role %s; %s needs the role %s", m.name, m.role, short(method), Operator)
	}
	if !g.reads(method) {
		g.log.InfoContext(ctx, "call", "caller", m.name, "method", method)
	}
	if m.role != Operator {
		ctx = g.mark(ctx)
	}
	return ctx, nil
}

func short(method string) string { return method[strings.LastIndexByte(method, '/')+1:] }

// who tells who calls, or why nobody knows. A token, where one is given, decides alone.
func (g *Guard) who(p *peer.Peer, given []string) (member, string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refresh()
	if len(given) > 0 {
		token, ok := strings.CutPrefix(given[0], "Bearer ")
		if !ok {
			return member{}, "the header authorization is not of the form: Bearer <token>"
		}
		hash := sha256.Sum256([]byte(strings.TrimSpace(token)))
		at := slices.IndexFunc(g.tokens, func(m member) bool { return subtle.ConstantTimeCompare(m.hash[:], hash[:]) == 1 })
		if at < 0 {
			return member{}, "the token is not one of those that may call"
		}
		return g.tokens[at], ""
	}
	if p != nil {
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok && len(info.State.VerifiedChains) > 0 {
			names := host.Names(info.State.PeerCertificates[0])
			for _, name := range names {
				if m, known := g.certificates[name]; known {
					return m, ""
				}
			}
			return member{}, "the certificate of " + strings.Join(names, ", ") + " is not one of those that may call"
		}
	}
	return member{}, "who calls must say so: a token (header authorization: Bearer <token>; slipstream --token-file), or a client certificate"
}
