package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"daybreak/internal/access"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets/*
var assetFiles embed.FS

// fragmentHeader is set by the script of the pages where it wants one part of a page, by name.
const fragmentHeader = "Daybreak-Fragment"

// view is what a handler shows: the template Name over Body. Parts are those of it that its script may
// load again, with their data.
type view struct {
	Status  int // 0 means 200
	Name    string
	Title   string
	Section string // of the navigation
	Run     string // the run that the navigation leads to
	Body    any
	Parts   map[string]any
}

// shell is what the layout knows.
type shell struct {
	view
	User  *access.Person
	Dev   bool
	Flash string
	Build string
	Next  string
	Since int64 // the newest event that this page already shows
}

// pages holds a template set for each page.
type pages struct {
	sets      map[string]*template.Template
	fragments *template.Template
}

// loadPages parses every page with the layout and the fragments.
func loadPages() (*pages, error) {
	base, err := template.New("").Funcs(formats).ParseFS(templateFiles, "templates/layout.html", "templates/part_*.html")
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	p := &pages{sets: map[string]*template.Template{}, fragments: base}
	names, err := fs.Glob(templateFiles, "templates/page_*.html")
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	for _, file := range names {
		set, err := template.Must(base.Clone()).ParseFS(templateFiles, file)
		if err != nil {
			return nil, fmt.Errorf("templates: %w", err)
		}
		p.sets[strings.TrimSuffix(strings.TrimPrefix(path.Base(file), "page_"), ".html")] = set
	}
	return p, nil
}

// show writes a page, or the fragment of it that the request asks for.
func (s *Server) show(w http.ResponseWriter, r *http.Request, v view) error {
	set := s.pages.sets[v.Name]
	if set == nil {
		return fmt.Errorf("no page named %s", v.Name)
	}
	name := "layout"
	var data any
	if part, ok := v.Parts[r.Header.Get(fragmentHeader)]; ok {
		name, data = "part-"+r.Header.Get(fragmentHeader), part
	} else {
		data = shell{view: v, User: userOf(r), Dev: s.devLogin(), Flash: s.sessions.PopString(r.Context(), sessionFlash),
			Build: s.config.Build, Next: r.URL.RequestURI(), Since: s.hub.lastID()}
	}
	var b bytes.Buffer
	if err := set.ExecuteTemplate(&b, name, data); err != nil {
		return fmt.Errorf("page %s: %w", v.Name, err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-cache, private")
	}
	h.Set("Vary", "Accept-Encoding, "+fragmentHeader)
	write(w, r, v.Status, b.Bytes())
	return nil
}

// fragment makes one part of a page, for events.
func (s *Server) fragment(name string, data any) (string, error) {
	var b bytes.Buffer
	if err := s.pages.fragments.ExecuteTemplate(&b, "part-"+name, data); err != nil {
		return "", fmt.Errorf("fragment %s: %w", name, err)
	}
	return b.String(), nil
}

// compressMin is the size from which an answer is compressed.
const compressMin = 1_400

// write sends a body, compressed where the browser takes that. An answer that cannot be written has
// no reader left to tell.
func write(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	if status == 0 {
		status = http.StatusOK
	}
	if len(body) < compressMin || !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.WriteHeader(status)
		_, _ = w.Write(body)
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	z := gzip.NewWriter(w)
	_, _ = z.Write(body)
	_ = z.Close()
}

// assetHash names the assets of this build, so that browsers may keep them for good.
var assetHash = mustHashAssets()

func mustHashAssets() string {
	sum := sha256.New()
	names, err := fs.Glob(assetFiles, "assets/*")
	if err != nil {
		panic(err)
	}
	for _, n := range names {
		body, err := assetFiles.ReadFile(n)
		if err != nil {
			panic(err)
		}
		sum.Write(body)
	}
	return hex.EncodeToString(sum.Sum(nil))[:12]
}

// assetPath is the address of an asset.
func assetPath(name string) string { return "/assets/" + assetHash + "/" + name }

// assets serves the embedded files; an address of another build is answered too, but not kept.
func assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("name")
		body, err := assetFiles.ReadFile("assets/" + path.Base(name))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
		h.Set("Vary", "Accept-Encoding")
		if r.PathValue("hash") == assetHash {
			h.Set("Cache-Control", "public, immutable, max-age="+fmt.Sprint(int((365*24*time.Hour).Seconds())))
		}
		write(w, r, http.StatusOK, body)
	})
}
