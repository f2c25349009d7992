package access_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"slipstream/services/internal/access"
)

const (
	read    = "/slipstream.gateway.v1.GatewayService/Status"
	write   = "/slipstream.gateway.v1.GatewayService/Deploy"
	reader  = "reader-token-0123456789"
	mighty  = "operator-token-0123456789"
	nobody  = "nobodys-token-0123456789"
	another = "renewed-token-0123456789"
)

func hashed(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// reading is how calls of readers are marked.
type reading struct{}

func marked(ctx context.Context) context.Context { return context.WithValue(ctx, reading{}, true) }

func store(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func guard(t *testing.T, text string) (*access.Guard, string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "access.yaml")
	store(t, path, text)
	g, err := access.Open(path, func(method string) bool { return method == read }, marked, slog.New(slog.DiscardHandler))
	return g, path, err
}

func ask(t *testing.T, g *access.Guard, header, method string) codes.Code {
	t.Helper()
	ctx := t.Context()
	if header != "" {
		ctx = metadata.NewIncomingContext(ctx, metadata.Pairs("authorization", header))
	}
	admitted, err := g.Admit(ctx, method)
	if is := admitted.Value(reading{}) != nil; is != (err == nil && header == "Bearer "+reader) {
		t.Errorf("a call with %q is marked as a reader's: %v", header, is)
	}
	if err != nil && strings.Contains(err.Error(), "-token-0123456789") {
		t.Errorf("a token is shown: %v", err)
	}
	return status.Code(err)
}

func TestTokens(t *testing.T) {
	t.Setenv("ACCESS_TEST_TOKEN", mighty)
	g, _, err := guard(t, "tokens:\n  - {name: grafana, role: reader, sha256: "+hashed(reader)+"}\n"+
		"  - {name: deployer, role: operator, token: \"${env:ACCESS_TEST_TOKEN}\"}\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		header, method string
		want           codes.Code
	}{
		{"", read, codes.Unauthenticated},
		{"", write, codes.Unauthenticated},
		{"Bearer " + nobody, read, codes.Unauthenticated},
		{"Bearer ", read, codes.Unauthenticated},
		{"Basic " + reader, read, codes.Unauthenticated},
		{reader, read, codes.Unauthenticated},
		{"Bearer " + reader, read, codes.OK},
		{"Bearer " + reader, write, codes.PermissionDenied},
		{"Bearer " + reader, "/slipstream.gateway.v1.GatewayService/New", codes.PermissionDenied},
		{"Bearer " + mighty, read, codes.OK},
		{"Bearer " + mighty, write, codes.OK},
		{"Bearer " + hashed(mighty), write, codes.Unauthenticated},
	} {
		if got := ask(t, g, c.header, c.method); got != c.want {
			t.Errorf("%q calls %s: %v, want %v", c.header, c.method, got, c.want)
		}
	}
}

// TestReadAgain: a token that is taken out of the file stops working, one that is added works, and a file that is broken
// meanwhile changes nothing.
func TestReadAgain(t *testing.T) {
	g, path, err := guard(t, "tokens: [{name: a, role: operator, sha256: "+hashed(mighty)+"}]")
	if err != nil {
		t.Fatal(err)
	}
	becomes := func(token string, want codes.Code) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		for ask(t, g, "Bearer "+token, write) != want {
			select {
			case <-ctx.Done():
				t.Fatalf("the answer did not become %v", want)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	store(t, path, "tokens: [{")
	becomes(mighty, codes.OK)
	store(t, path, "tokens: [{name: a, role: operator, sha256: "+hashed(another)+"}]\n")
	becomes(another, codes.OK)
	becomes(mighty, codes.Unauthenticated)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	becomes(another, codes.OK)
}

func TestBadFiles(t *testing.T) {
	good := "sha256: " + hashed(mighty)
	for text, says := range map[string]string{
		"":                                       "names nobody",
		"tokens: [{":                             "not of the form",
		"tokens: [{name: a, rle: b}]":            "not of the form",
		"tokens: [{role: reader, " + good + "}]": "name is missing",
		"tokens: [{name: a, role: admin, " + good + "}]":                                         `role "admin": write reader or operator`,
		"tokens: [{name: a, role: reader}]":                                                      "write sha256",
		"tokens: [{name: a, role: reader, sha256: abcd}]":                                        "64 hexadecimal digits",
		"tokens: [{name: a, role: reader, token: short}]":                                        "fewer than 16 characters",
		"tokens: [{name: a, role: reader, token: \"${env:ACCESS_TEST_NOT_SET}\"}]":               "ACCESS_TEST_NOT_SET",
		"tokens: [{name: a, role: reader, " + good + "}, {name: a, role: reader, " + good + "}]": "a is there twice",
		"certificates: [{name: a, role: reader, " + good + "}]":                                  "a certificate has no token",
	} {
		if _, _, err := guard(t, text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
	if _, err := access.Open(filepath.Join(t.TempDir(), "none"), nil, nil, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a file that is not there was read")
	}
}
