// Package origin answers the requests of plans.
package origin

import (
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/http/cgi"
	"strconv"
	"sync"
	"time"

	"trench/pkg/internal/lab/plan"
)

// Handler answers what plans ask for:
//
//	GET  /b/N         N bytes
//	GET  /hold/MS/N   N bytes after a wait
//	POST /in/N        N bytes after the whole body was read
//	GET  /page/STEPS  a page whose script carries out steps and then asks for /done
//	     /git/…       a git repository
//
// Anything else is not found.
type Handler struct {
	noise []byte
	mux   http.ServeMux

	mu   sync.Mutex
	done map[string]chan struct{} // by the id of the page
}

// New serves the git repositories below a directory.
func New(repositories string) *Handler {
	h := &Handler{noise: plan.Bytes(plan.MaxBytes), done: make(map[string]chan struct{})}
	h.mux.HandleFunc("GET /b/{n}", func(w http.ResponseWriter, r *http.Request) { h.send(w, r.PathValue("n")) })
	h.mux.HandleFunc("GET /hold/{ms}/{n}", func(w http.ResponseWriter, r *http.Request) {
		ms, err := strconv.Atoi(r.PathValue("ms"))
		if err != nil {
			http.Error(w, "wait for how long?", http.StatusBadRequest)
			return
		}
		select {
		case <-r.Context().Done():
		case <-time.After(time.Duration(ms) * time.Millisecond):
			h.send(w, r.PathValue("n"))
		}
	})
	h.mux.HandleFunc("POST /in/{n}", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			h.send(w, r.PathValue("n"))
		}
	})
	h.mux.HandleFunc("GET /page/{id}/{steps}", servePage)
	h.mux.HandleFunc("GET /done/{id}", func(_ http.ResponseWriter, r *http.Request) { h.finish(r.PathValue("id")) })
	h.mux.Handle("/git/", &cgi.Handler{
		Path: "/usr/lib/git-core/git-http-backend", Root: "/git",
		Env: []string{"GIT_PROJECT_ROOT=" + repositories, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=lab"},
	})
	return h
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

func (h *Handler) send(w http.ResponseWriter, size string) {
	n, err := strconv.Atoi(size)
	if err != nil || n < 0 || n > plan.MaxBytes {
		http.Error(w, "how many bytes?", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.Itoa(n))
	_, _ = w.Write(h.noise[:n]) // the client's part
}

// Expect returns a channel that is closed when the page of that id has done its steps.
func (h *Handler) Expect(id string) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := make(chan struct{})
	h.done[id] = c
	return c
}

func (h *Handler) finish(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c, ok := h.done[id]; ok {
		close(c)
		delete(h.done, id)
	}
}

// page is what a browser is sent to.
var page = template.Must(template.New("page").Parse(`<!doctype html><meta charset="utf-8"><title>{{.ID}}</title>
<script>
(async () => {
  for (const line of {{.Steps}}.trim().split("\n")) {
    const [verb, path, n] = line.split(" ");
    if (verb === "sleep") await new Promise((r) => setTimeout(r, +path));
    if (verb === "get") await (await fetch(path)).arrayBuffer();
    if (verb === "post") await (await fetch(path, {method: "POST", body: new Uint8Array(+n)})).arrayBuffer();
  }
  await fetch("/done/" + {{.ID}});
})();
</script>`))

func servePage(w http.ResponseWriter, r *http.Request) {
	steps, err := base64.RawURLEncoding.DecodeString(r.PathValue("steps"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = page.Execute(w, struct{ ID, Steps string }{r.PathValue("id"), string(steps)}) // the client's part
}

// PagePath is where a browser finds its steps.
func PagePath(id string, steps []plan.Step) string {
	var text string
	for _, s := range steps {
		text += s.String() + "\n"
	}
	return fmt.Sprintf("/page/%s/%s", id, base64.RawURLEncoding.EncodeToString([]byte(text)))
}

// AnswerRaw reads frames and sends what they ask for, until they end.
func (h *Handler) AnswerRaw(c io.ReadWriter) error {
	for {
		m, err := plan.ReadFrame(c)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if m == 0 {
			continue
		}
		if _, err := c.Write(h.noise[:m]); err != nil {
			return err
		}
	}
}
