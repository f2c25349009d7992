package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
	_ "modernc.org/sqlite" // to read the rows back

	"slipstream/deploy/dev/devserver"
	gatewayv1 "slipstream/proto/slipstream/gateway/v1"
	"slipstream/services/internal/host"
)

// defaultGateway is where the command line looks when it is told nothing else.
const defaultGateway = "127.0.0.1:7400"

// processes are what the demo started.
type processes struct {
	folder   string
	database string
	log      string
	address  string // of the gateway
	binary   string

	redis   *devserver.RedisServer
	client  *redis.Client
	rows    *sql.DB
	conn    *grpc.ClientConn
	gateway gatewayv1.GatewayServiceClient
	run     *exec.Cmd
	ended   chan struct{} // closed when run has ended
	result  error         // how it ended
}

// start starts Redis and the pipeline, and waits until its lanes run.
func start(ctx context.Context, o *options) (p *processes, err error) {
	folder, err := os.MkdirTemp("", "slipstream-demo-")
	if err != nil {
		return nil, err
	}
	p = &processes{
		folder: folder, database: filepath.Join(folder, "atlas.db"), log: filepath.Join(folder, "slipstream.log"),
		binary: o.binary, ended: make(chan struct{}),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close())
			p = nil
		}
	}()
	if p.redis, err = devserver.StartRedis(ctx, devserver.RedisOptions{}); err != nil {
		return p, err
	}
	p.client = redis.NewClient(&redis.Options{Addr: p.redis.Addr})
	if err = p.create(ctx, filepath.Join(o.dir, "schema.sql")); err != nil {
		return p, err
	}
	if p.address, err = freeAddress(ctx); err != nil {
		return p, err
	}
	if err = p.launch(o); err != nil {
		return p, err
	}
	if p.conn, err = host.Dial(p.address); err != nil {
		return p, err
	}
	p.gateway = gatewayv1.NewGatewayServiceClient(p.conn)
	return p, p.await(ctx)
}

// create makes the database with its table.
func (p *processes) create(ctx context.Context, schema string) error {
	ddl, err := os.ReadFile(schema)
	if err != nil {
		return err
	}
	if p.rows, err = sql.Open("sqlite", "file:"+p.database+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)"); err != nil {
		return err
	}
	if _, err := p.rows.ExecContext(ctx, string(ddl)); err != nil {
		return fmt.Errorf("creating the table: %w", err)
	}
	return nil
}

// launch starts `slipstream run`, its log in a file.
func (p *processes) launch(o *options) error {
	_, port, err := net.SplitHostPort(p.redis.Addr)
	if err != nil {
		return err
	}
	log, err := os.Create(p.log)
	if err != nil {
		return err
	}
	p.run = exec.Command(o.binary, "run", "--dir", o.dir, "--listen", p.address, "--metrics", "127.0.0.1:0", "--http", "off")
	p.run.Env = append(os.Environ(), "DEMO_REDIS_PORT="+port, "DEMO_DATABASE="+p.database)
	p.run.Stdout, p.run.Stderr = log, log
	p.run.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is ours: we end it in order
	if err := p.run.Start(); err != nil {
		p.run = nil
		return errors.Join(fmt.Errorf("starting the pipeline: %w; build it with: make build", err), log.Close())
	}
	go func() { p.result = errors.Join(p.run.Wait(), log.Close()); close(p.ended) }()
	return nil
}

// await waits until the pipeline answers and every lane runs.
func (p *processes) await(ctx context.Context) error {
	deadline := time.Now().Add(60 * time.Second)
	for {
		if s, err := p.gateway.Status(ctx, &gatewayv1.StatusRequest{}); err == nil && lanesRun(s) {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("the pipeline ended: %w\n%s", p.result, p.tail())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the pipeline does not run after a minute\n%s", p.tail())
		}
	}
}

// tail is the end of the pipeline's log.
func (p *processes) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

// close ends everything that was started and removes the folder.
func (p *processes) close() error {
	var errs []error
	if p.run != nil {
		_ = p.run.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.ended:
		case <-time.After(30 * time.Second):
			errs = append(errs, errors.New("the pipeline did not stop within 30 s and was killed"), p.run.Process.Kill())
			<-p.ended
		}
		errs = append(errs, p.result)
	}
	if p.conn != nil {
		errs = append(errs, p.conn.Close())
	}
	if p.rows != nil {
		errs = append(errs, p.rows.Close())
	}
	if p.client != nil {
		errs = append(errs, p.client.Close())
	}
	if p.redis != nil {
		errs = append(errs, p.redis.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(p.folder))...)
}

// next says what to try while everything runs.
func (p *processes) next() string {
	flag := ""
	if p.address != defaultGateway {
		flag = " --gateway " + p.address
	}
	_, port, _ := net.SplitHostPort(p.redis.Addr)
	return fmt.Sprintf(`
Everything runs on, until Ctrl-C. In another terminal, try:
  %[1]s status%[2]s
  redis-cli -p %[3]s HSET city:FR:1 name 'Petit Paris' visits 7
  sqlite3 %[4]s "SELECT * FROM city WHERE country = 'FR' AND no = 1"
  redis-cli -p %[3]s HSET city:FR:2 visits many        # does not fit its column
  %[1]s get-rejected%[2]s
  redis-cli -p %[3]s DEL city:FR:1
`, p.binary, flag, port, p.database)
}

// freeAddress is the gateway's usual address, or a free one where that is taken.
func freeAddress(ctx context.Context) (string, error) {
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", defaultGateway)
	if err != nil {
		return devserver.FreeAddress()
	}
	return defaultGateway, lis.Close()
}
