package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"trench/pkg/internal/lab/cell"
	"trench/pkg/internal/lab/plan"
)

// git lists, clones or pushes; what is pushed to is a repository of its own.
func git(ctx context.Context, j *job) error {
	p := j.plan()
	trust := "http.sslVerify=false"
	if j.Trusted() {
		trust = "http.sslCAInfo=" + p.Trust
	}
	project := p.URL + "/git/project.git"
	switch j.Behaviour {
	case cell.OneRequest:
		return j.exec(ctx, []string{"git", "-c", trust, "ls-remote", project}, nil)
	case cell.Download:
		return j.exec(ctx, []string{"git", "-c", trust, "clone", "-q", project, filepath.Join(j.tmp, j.ID+".clone")}, nil)
	}
	empty := j.repository(j.ID)
	if err := errors.Join(j.git(ctx, "init", "-q", "--bare", empty), j.git(ctx, "-C", empty, "config", "http.receivepack", "true")); err != nil {
		return err
	}
	return j.exec(ctx, []string{"git", "-c", trust, "-C", j.repository("project"), "push", "-q", p.URL + "/git/" + j.ID + ".git", "HEAD:refs/heads/main"}, nil)
}

// repository is where one lies.
func (l *lab) repository(name string) string { return filepath.Join(l.tmp, "git", name+".git") }

// git runs git on this machine, without a network.
func (l *lab) git(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + l.tmp, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=lab", "GIT_AUTHOR_EMAIL=lab@localhost", "GIT_COMMITTER_NAME=lab", "GIT_COMMITTER_EMAIL=lab@localhost",
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w: %s", args[0], err, out)
	}
	return nil
}

// project makes the repository that git clients fetch.
func (l *lab) project(ctx context.Context) error {
	work := filepath.Join(l.tmp, "work")
	if err := l.git(ctx, "init", "-q", work); err != nil {
		return err
	}
	for i := range 12 {
		name := fmt.Sprintf("file%d", i)
		err := errors.Join(os.WriteFile(filepath.Join(work, name), plan.Bytes(20_000), 0o644), l.git(ctx, "-C", work, "add", name), l.git(ctx, "-C", work, "commit", "-q", "-m", name))
		if err != nil {
			return err
		}
	}
	return l.git(ctx, "clone", "-q", "--bare", work, l.repository("project"))
}
