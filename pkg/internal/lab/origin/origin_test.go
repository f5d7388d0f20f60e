package origin_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"trench/pkg/internal/lab/origin"
	"trench/pkg/internal/lab/plan"
)

func TestHandlerAnswersSteps(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(origin.New(t.TempDir()))
	defer s.Close()
	for _, c := range []struct {
		step         plan.Step
		status, size int
	}{
		{plan.Get(1234, 0), http.StatusOK, 1234},
		{plan.Get(12, 10), http.StatusOK, 12},
		{plan.Post(50_000, 7), http.StatusOK, 7},
		{plan.Get(plan.MaxBytes+1, 0), http.StatusBadRequest, -1},
		{plan.Step{Verb: "get", Path: "/what"}, http.StatusNotFound, -1},
	} {
		method := http.MethodGet
		if c.step.Verb == "post" {
			method = http.MethodPost
		}
		req, err := http.NewRequest(method, s.URL+c.step.Path, bytes.NewReader(plan.Bytes(c.step.N)))
		if err != nil {
			t.Fatal(err)
		}
		res, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != c.status || c.size >= 0 && len(body) != c.size {
			t.Errorf("%s: %s, %d bytes, %v", c.step, res.Status, len(body), err)
		}
	}
}

func TestPageCarriesItsStepsAndIsDone(t *testing.T) {
	t.Parallel()
	h := origin.New(t.TempDir())
	done := h.Expect("cell-1")
	steps := []plan.Step{plan.Get(10, 0), plan.Post(5, 6)}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, origin.PagePath("cell-1", steps), nil))
	for _, want := range []string{"get ", "b/10", "post ", "in/6 5", "cell-1"} {
		if !strings.Contains(strings.ReplaceAll(w.Body.String(), `\/`, "/"), want) {
			t.Errorf("no %q in the page: %s", want, w.Body)
		}
	}
	select {
	case <-done:
		t.Error("done before it is")
	default:
	}
	for range 2 { // a browser may ask twice
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/done/cell-1", nil))
	}
	<-done
}

func TestRawAnswersEveryFrame(t *testing.T) {
	t.Parallel()
	client, server := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- origin.New(t.TempDir()).AnswerRaw(server) }()
	for _, m := range []int{0, 5, 70_000} {
		if _, err := client.Write(plan.Frame(100, m)); err != nil {
			t.Fatal(err)
		}
		if n, err := io.CopyN(io.Discard, client, int64(m)); err != nil {
			t.Fatal(fmt.Errorf("%d of %d bytes: %w", n, m, err))
		}
	}
	client.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
