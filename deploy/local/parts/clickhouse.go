//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
)

const (
	chdbPackage = "@chdb/lib-linux-x64-gnu"
	chdbVersion = "26.7.3-stable.1"
	// chdbSHA512 is of the packed package as npm pack writes it.
	chdbSHA512 = "5cff7b98caa7739b59a4a432c11f0dedc2d3b073624e61ebdf4a42e66ce8de35" +
		"a6ba48ca9f62016bad1cd81fe059435cb858ce3235a8a2b408082a81563e70a7"
)

// clickhouse is the server inside libchdb, run by chserver.
type clickhouse struct{}

func (clickhouse) name() string { return "clickhouse" }
func (clickhouse) ports() []int { return []int{19000, 18123} }

func (clickhouse) env(ports []int) []string {
	return []string{
		fmt.Sprintf("TRENCH_CLICKHOUSE_NATIVE=127.0.0.1:%d", ports[0]),
		fmt.Sprintf("TRENCH_CLICKHOUSE_HTTP=127.0.0.1:%d", ports[1]),
	}
}

func (clickhouse) fetch(ctx context.Context, c cache) error {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("the packaged engine is for linux/amd64, this is linux/%s: use docker compose", runtime.GOARCH)
	}
	_, err := c.get(ctx, "chdb-"+chdbVersion, func(tmp string) error {
		if err := needs("npm", "npm"); err != nil {
			return err
		}
		npm := exec.CommandContext(ctx, "npm", "pack", chdbPackage+"@"+chdbVersion, "--silent",
			"--cache", filepath.Join(tmp, "npm")) // 178 MB need not be kept twice
		npm.Dir = tmp
		out, err := npm.CombinedOutput()
		if err != nil {
			return fmt.Errorf("npm pack: %w\n%s", err, lastLines(out, 10))
		}
		packs, err := filepath.Glob(filepath.Join(tmp, "*.tgz"))
		if err != nil || len(packs) != 1 {
			return fmt.Errorf("npm pack left %d packages instead of one (%v)", len(packs), err)
		}
		if err := unpack(packs[0], chdbSHA512, "package/libchdb.so", filepath.Join(tmp, "libchdb.so")); err != nil {
			return err
		}
		if err := os.Remove(packs[0]); err != nil {
			return err
		}
		return os.RemoveAll(filepath.Join(tmp, "npm"))
	})
	return err
}

func (ch clickhouse) prepare(ctx context.Context, c cache, dir string, ports []int) (command, error) {
	if err := ch.fetch(ctx, c); err != nil {
		return command{}, err
	}
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return command{}, err
	}
	server := filepath.Join(dir, "chserver")
	build := exec.CommandContext(ctx, "go", "build", "-o", server, "./deploy/local/chserver")
	build.Dir = root()
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return command{}, fmt.Errorf("go build chserver: %w\n%s", err, lastLines(out, 10))
	}
	return command{
		argv: []string{server,
			"-lib", filepath.Join(c.dir, "chdb-"+chdbVersion, "libchdb.so"),
			"-path", data,
			"-native", strconv.Itoa(ports[0]),
			"-http", strconv.Itoa(ports[1])},
		stop:  stopByStdin,
		grace: 15 * time.Second,
	}, nil
}

// probe asks over both protocols.
func (clickhouse) probe(ctx context.Context, ports []int) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	web := fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	if got, err := fetchText(ctx, web+"/ping"); err != nil || got != "Ok." {
		return fmt.Errorf("ping: answer %q, %w", got, err)
	}
	overHTTP, err := fetchText(ctx, web+"/?query=SELECT%20version()")
	if err != nil {
		return fmt.Errorf("version over HTTP: %w", err)
	}
	conn, err := chgo.Open(&chgo.Options{
		Addr:        []string{fmt.Sprintf("127.0.0.1:%d", ports[0])},
		DialTimeout: time.Second,
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	var overNative string
	if err := conn.QueryRow(ctx, "SELECT version()").Scan(&overNative); err != nil {
		return fmt.Errorf("version over the native protocol: %w", err)
	}
	if overHTTP != overNative {
		return fmt.Errorf("HTTP answers as version %s, native as %s: two servers", overHTTP, overNative)
	}
	return nil
}

func fetchText(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(body))
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", resp.Status, text)
	}
	return text, nil
}
