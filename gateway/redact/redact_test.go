package redact_test

import (
	"strings"
	"testing"

	pipelinev1 "slipstream/proto/slipstream/pipeline/v1"

	"slipstream/gateway/redact"
)

// TestText: secrets go, wherever they stand, and what is none stays (G10).
func TestText(t *testing.T) {
	r := redact.New()
	r.Connection(&pipelinev1.Connection{
		Password: `p"w/1+2`, Args: map[string]string{"ssl_key_password": "keypw99", "sslmode": "require"},
		Options: map[string]string{"key_password": "${env:KEY_PW}", "api_token": "abc"},
	})
	for name, tc := range map[string]struct{ text, want string }{
		"a known value":        {`connecting with p"w/1+2 failed`, "connecting with ****** failed"},
		"as JSON":              {`{"x": "p\"w/1+2"}`, `{"x": "******"}`},
		"in a query":           {"?x=p%22w%2F1%2B2", "?x=******"},
		"another known value":  {"keypw99", "******"},
		"a name in YAML":       {"    password: hunter2\n    host: h", "    password: ******\n    host: h"},
		"quoted":               {`"client_secret": "s p a c e", "a": 1`, `"client_secret": "******", "a": 1`},
		"in a log line":        {"msg=x api-key=zzz host=h", "msg=x api-key=zzz host=h"},
		"a name that tells":    {"msg=x apikey=zzz host=h", "msg=x apikey=****** host=h"},
		"a token":              {"access_token=zzz&b=1", "access_token=******&b=1"},
		"a URL":                {"redis://user:hunter2@h:1/0", "redis://user:******@h:1/0"},
		"a URL with reference": {"redis://:${env:PW}@h:1", "redis://:${env:PW}@h:1"},
		"a reference":          {"password: ${file:/run/pw}", "password: ${file:/run/pw}"},
		"a quoted reference":   {`password: "${file:/run/pw}"`, `password: "${file:/run/pw}"`},
		"nothing":              {`{"password": "", "pwd": null}`, `{"password": "", "pwd": null}`},
		"no secret":            {"sslmode: require, keys: [id], passed: 3", "sslmode: require, keys: [id], passed: 3"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := string(r.Text([]byte(tc.text))); got != tc.want {
				t.Errorf("%q\nbecame %q\nwant   %q", tc.text, got, tc.want)
			}
		})
	}
}

func TestMask(t *testing.T) {
	c := &pipelinev1.Connection{
		Host: "h", Password: "pw", Args: map[string]string{"ssl_key_password": "x", "sslmode": "require"},
		Options: map[string]string{"key_password": "${env:K}"},
	}
	redact.Mask(c)
	if c.Password != redact.Hidden || c.Args["ssl_key_password"] != redact.Hidden || c.Args["sslmode"] != "require" || c.Host != "h" {
		t.Errorf("masked: %v", c)
	}
	if !strings.HasPrefix(c.Options["key_password"], "${") {
		t.Errorf("a reference was masked: %v", c)
	}
}
