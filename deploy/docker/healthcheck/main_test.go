package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestOnlyAGoodAnswerIsHealthy(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer srv.Close()
	if err := run(t.Context(), []string{srv.URL + "/healthz"}); err != nil {
		t.Errorf("healthy: %v", err)
	}
	if err := run(t.Context(), []string{srv.URL + "/broken"}); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("unhealthy: %v, want the status", err)
	}
	if err := run(t.Context(), nil); err == nil {
		t.Error("no URL is accepted")
	}
	srv.Close()
	if err := run(t.Context(), []string{srv.URL + "/healthz"}); err == nil {
		t.Error("a server that is gone is healthy")
	}
}
