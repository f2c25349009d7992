package configfile_test

import (
	"strings"
	"testing"

	"slipstream/gateway/configfile"
)

// TestSecretsAreMasked keeps what was written in clear out of the text that is stored and shown (G10).
func TestSecretsAreMasked(t *testing.T) {
	const head = "connections:\n  source:\n    type: redis\n    host: h\n    port: 1\n"
	cases := map[string]struct{ text, secret, want string }{
		"plain":         {head + "    password: hunter2 # no\n", "hunter2", head + "    password: ****** # no\n"},
		"quoted":        {head + "    password: \"hunter2\"\n", "hunter2", head + "    password: \"******\"\n"},
		"reference":     {head + "    password: ${env:PW}\n", "", head + "    password: ${env:PW}\n"},
		"escaped":       {head + "    password: \"hun\\\"ter2\"\n    db: 1\n", "ter2", head + "    password: \"******\"\n    db: 1\n"},
		"block":         {head + "    password: |-\n      hunter\n      two\n    db: 1\n", "two", head + "    password: \"******\"\n    db: 1\n"},
		"like the type": {strings.Replace(head, "host: h", "host: redis", 1) + "    password: redis\n", "", strings.Replace(head, "host: h", "host: redis", 1) + "    password: ******\n"},
		"key password":  {head + "    cert: c\n    key: k\n    key_password: hunter2\n", "hunter2", head + "    cert: c\n    key: k\n    key_password: ******\n"},
		"in braces": {
			"connections:\n  source: {type: redis, host: h, port: 1, password: hunter2}\n", "hunter2",
			"connections:\n  source: {type: redis, host: h, port: 1, password: ******}\n",
		},
		"at the top": {"source:\n  host: h\n  port: 1\n  password: a b\n", "a b", "source:\n  host: h\n  port: 1\n  password: ******\n"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := configfile.Read("config.yaml", []byte(tc.text), nil, func(s string) (string, error) { return s, nil })
			if c.File.Errors() > 0 {
				t.Fatal(c.File.Problems())
			}
			if got := string(c.Text); got != tc.want {
				t.Errorf("text:\n%s\nwant:\n%s", got, tc.want)
			}
			for _, p := range c.File.Problems() {
				if tc.secret != "" && strings.Contains(p.String(), tc.secret) {
					t.Errorf("the problem shows the secret: %v", p)
				}
			}
			if warned := len(c.File.Problems()) > 0; warned != (name != "reference") {
				t.Errorf("problems %v", c.File.Problems())
			}
			if name != "reference" && c.Connections["source"].GetPassword()+c.Connections["source"].GetOptions()["key_password"] == "" {
				t.Error("the connection lost its secret")
			}
		})
	}
}
