// Command slipstream-demo shows a pipeline at work and proves it right: it starts a private Redis in a temporary folder
// and `slipstream run` on it, writes the cities of deploy/demo to Redis, keeps changing, adding, renaming and deleting keys
// for some seconds while a live view shows what happens, and then compares every key in Redis with every row in SQLite.
//
// Its exit code is 0 only when they are equal. Everything it started ends with it, and its folder is removed.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/pflag"
)

// options of the demo.
type options struct {
	dir     string
	binary  string
	seconds int
	seed    uint64
	keep    bool
}

func main() { os.Exit(run()) }

func run() int {
	var o options
	pflag.StringVar(&o.dir, "dir", filepath.Join("deploy", "demo"), "folder with config.yaml, jobs/, schema.sql and cities.csv.gz")
	pflag.StringVar(&o.binary, "slipstream", filepath.Join("bin", "slipstream"), "the slipstream binary")
	pflag.IntVar(&o.seconds, "seconds", 8, "how long keys keep changing")
	pflag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano()), "seed of the changes")
	pflag.BoolVar(&o.keep, "keep", os.Getenv("KEEP") == "1", "leave everything running until Ctrl-C")
	pflag.Parse()
	if pflag.NArg() > 0 || o.seconds < 0 {
		pflag.Usage()
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	switch err := show(ctx, &o); {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled):
		fmt.Println("\nstopped before the comparison")
		return 1
	default:
		fmt.Fprintln(os.Stderr, "demo:", err)
		return 1
	}
}

// show is the demo from start to result.
func show(ctx context.Context, o *options) (err error) {
	cities, err := readCities(filepath.Join(o.dir, "cities.csv.gz"))
	if err != nil {
		return err
	}
	p, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	fmt.Printf("Redis on %s, rows go to %s, log in %s\n\n", p.redis.Addr, p.database, p.log)

	w := newWriter(p.client, cities, o.seed)
	view := newView(p, w)
	watched := make(chan error, 1)
	watchCtx, endWatch := context.WithCancel(ctx)
	go func() { watched <- view.run(watchCtx) }()

	err = w.load(ctx)
	if err == nil {
		err = w.change(ctx, time.Duration(o.seconds)*time.Second)
	}
	var result *comparison
	if err == nil {
		result, err = settle(ctx, p)
	}
	endWatch()
	err = errors.Join(err, <-watched)
	if err != nil {
		return err
	}
	fmt.Printf("\n%s\n", w)
	fmt.Println(result)
	if !result.equal() {
		return errors.New("the rows are not what the keys say")
	}
	if o.keep {
		fmt.Print(p.next())
		<-ctx.Done()
	}
	return nil
}
