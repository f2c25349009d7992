package resp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"

	"slipstream/capture/resp"
	"slipstream/deploy/dev/devserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestReader reads every kind of answer, whole and byte by byte.
func TestReader(t *testing.T) {
	big := strings.Repeat("x", 100_000)
	const calls = "+OK\r\n:-42\r\n$5\r\na\r\nbc\r\n$0\r\n\r\n$-1\r\n*-1\r\n*2\r\n$1\r\nx\r\n:7\r\n-ERR no such thing\r\n"
	input := calls + fmt.Sprintf("$%d\r\n%s\r\n", len(big), big) + "+PONG\r\n"
	for name, in := range map[string]io.Reader{
		"whole":        strings.NewReader(input),
		"byte by byte": iotest.OneByteReader(strings.NewReader(input)),
		"in halves":    iotest.HalfReader(strings.NewReader(input)),
	} {
		t.Run(name, func(t *testing.T) {
			r := resp.NewReader(in, 0)
			if err := r.OK(); err != nil {
				t.Fatal(err)
			}
			if n, err := r.Int(); n != -42 || err != nil {
				t.Fatal(n, err)
			}
			if b, err := r.Bulk(); string(b) != "a\r\nbc" || err != nil {
				t.Fatalf("%q %v", b, err)
			}
			if b, err := r.Bulk(); b == nil || len(b) != 0 || err != nil {
				t.Fatalf("%q %v", b, err)
			}
			if b, err := r.Bulk(); b != nil || err != nil {
				t.Fatalf("%q %v", b, err)
			}
			if n, err := r.Array(); n != -1 || err != nil {
				t.Fatal(n, err)
			}
			v, err := r.Value()
			if err != nil || len(v.Array) != 2 || v.Array[0].Text() != "x" || v.Array[1].Int != 7 {
				t.Fatalf("%+v %v", v, err)
			}
			if _, err := r.Bulk(); resp.Refused(err) != "ERR" || err.Error() != "ERR no such thing" {
				t.Fatal(err)
			}
			if b, err := r.Bulk(); string(b) != big || err != nil {
				t.Fatalf("%d bytes, %v", len(b), err)
			}
			if err := r.OK(); err != nil {
				t.Fatal(err)
			}
			if err := r.OK(); !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
		})
	}
}

// TestSkip passes over whatever comes, and tells a refusal inside it.
func TestSkip(t *testing.T) {
	r := resp.NewReader(strings.NewReader("*3\r\n:1\r\n*2\r\n$1\r\na\r\n-WRONGTYPE x\r\n+z\r\n:9\r\n"), 0)
	if err := r.Skip(); resp.Refused(err) != "WRONGTYPE" {
		t.Fatal(err)
	}
	if n, err := r.Int(); n != 9 || err != nil {
		t.Fatal(n, err)
	}
}

// TestBadInput: what is no protocol is an error that is not a refusal, never a panic or a hang.
func TestBadInput(t *testing.T) {
	for _, input := range []string{
		"hello\r\n", "\r\n", "$x\r\n", "$-2\r\n", "$99999999999999999999\r\n", "*5000000000\r\n", "$3\r\nabcde\r\n", "+no end\n",
		strings.Repeat("a", 100_000), strings.Repeat("*1\r\n", 100) + ":1\r\n", "$3\r\nab", "*2\r\n:1\r\n", "%1\r\n", "$5000\r\n" + strings.Repeat("z", 6000),
	} {
		r := resp.NewReader(strings.NewReader(input), 0)
		if _, err := r.Value(); err == nil || resp.Refused(err) != "" || errors.Is(err, io.EOF) {
			t.Errorf("%.20q: %v", input, err)
		}
		r = resp.NewReader(strings.NewReader(input), 0)
		if err := r.Skip(); err == nil || resp.Refused(err) != "" || errors.Is(err, io.EOF) {
			t.Errorf("skipping %.20q: %v", input, err)
		}
	}
}

// FuzzReader: any bytes are an answer or an error.
func FuzzReader(f *testing.F) {
	f.Add([]byte("*2\r\n$1\r\na\r\n:1\r\n"))
	f.Add([]byte("$-1\r\n-ERR x\r\n"))
	f.Fuzz(func(t *testing.T, input []byte) {
		r := resp.NewReader(bytes.NewReader(input), 0)
		for range 100 {
			v, err := r.Value()
			if err != nil {
				return
			}
			if v.Kind == resp.KindError && v.Err() == nil {
				t.Fatal("a refusal without an error")
			}
		}
	})
}

// TestArena: copies live side by side until Reset, whatever is appended to one of them.
func TestArena(t *testing.T) {
	var a resp.Arena
	var copies [][]byte
	for i := range 1000 {
		copies = append(copies, a.Copy([]byte(strings.Repeat(fmt.Sprint(i%10), i))))
	}
	_ = append(copies[1], "overflow"...)
	for i, c := range copies {
		if string(c) != strings.Repeat(fmt.Sprint(i%10), i) {
			t.Fatalf("copy %d is %.10q", i, c)
		}
	}
	if a.Len() != 999*500 {
		t.Errorf("%d bytes", a.Len())
	}
	a.Reset()
	if a.Len() != 0 || testing.AllocsPerRun(10, func() { a.Reset(); a.Copy(copies[100]) }) != 0 {
		t.Error("a used arena allocates")
	}
}

// TestConn talks to a server: database, password, refusals, silence, interruption.
func TestConn(t *testing.T) {
	server := devserver.Redis(t, devserver.RedisOptions{Args: []string{"--requirepass", "secret"}})
	dial := func(o resp.Options) (*resp.Conn, error) {
		o.Addr = server.Addr
		return resp.Dial(t.Context(), o)
	}
	if _, err := dial(resp.Options{}); resp.Refused(err) != "NOAUTH" {
		t.Fatalf("without a password: %v", err)
	}
	if _, err := dial(resp.Options{Password: "wrong"}); resp.Refused(err) != "WRONGPASS" || strings.Contains(err.Error(), "wrong") {
		t.Fatalf("with a wrong password: %v", err)
	}
	if _, err := dial(resp.Options{Password: "secret", DB: 99}); resp.Refused(err) != "ERR" {
		t.Fatalf("with a wrong database: %v", err)
	}
	c, err := dial(resp.Options{User: "default", Password: "secret", DB: 3, Name: "test", Timeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if v, err := c.Do(t.Context(), "CLIENT", "INFO"); err != nil || !strings.Contains(v.Text(), "db=3 ") || !strings.Contains(v.Text(), "name=test ") {
		t.Fatalf("%q %v", v.Text(), err)
	}
	if _, err := c.Do(t.Context(), "NONSENSE"); resp.Refused(err) != "ERR" {
		t.Fatal(err)
	}
	c.Out.Begin(3)
	c.Out.String("SET")
	c.Out.Bytes([]byte("k\r\n\x00"))
	c.Out.Uint(18446744073709551615)
	c.Out.Command("GET", "k\r\n\x00")
	if c.Out.Buffered() == 0 || c.Out.Flush() != nil || c.Out.Buffered() != 0 {
		t.Fatal("not sent")
	}
	if err := c.In.OK(); err != nil {
		t.Fatal(err)
	}
	if b, err := c.In.Bulk(); string(b) != "18446744073709551615" || err != nil {
		t.Fatalf("%q %v", b, err)
	}
	if _, err := c.Do(t.Context(), "BLPOP", "nothing", "5"); !resp.Silent(err) {
		t.Fatalf("silence: %v", err)
	}
	c, err = dial(resp.Options{Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := c.Do(ctx, "BLPOP", "nothing", "0"); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkReader takes the answer of an XREAD apart.
func BenchmarkReader(b *testing.B) {
	var in bytes.Buffer
	const n = 1000
	for i := range n {
		fmt.Fprintf(&in, "*2\r\n$15\r\n1767225600000-%d\r\n*2\r\n$3\r\nkey\r\n$7\r\nemp:%03d\r\n", i%10, i)
	}
	b.ReportAllocs()
	source := bytes.NewReader(nil)
	r := resp.NewReader(source, 64<<10)
	for b.Loop() {
		source.Reset(in.Bytes())
		for range n {
			for range 2 {
				if _, err := r.Array(); err != nil {
					b.Fatal(err)
				}
				if _, err := r.Bulk(); err != nil {
					b.Fatal(err)
				}
				if r.Buffered() < 0 {
					b.Fatal("negative")
				}
			}
			if _, err := r.Bulk(); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
}
