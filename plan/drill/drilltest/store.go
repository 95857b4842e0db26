package drilltest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/quorate-dev/quorate/plan/drill"
)

// item is a stored object.
type item struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   meta              `json:"metadata"`
	Data       map[string]string `json:"data,omitempty"`
}

type meta struct {
	Name            string            `json:"name"`
	ResourceVersion string            `json:"resourceVersion,omitempty"`
	Labels          map[string]string `json:"labels,omitempty"`
}

// store keeps objects by their path below /api/v1/, and how to go back.
type store struct {
	objects map[string]*item
	undo    []undo
}

type undo struct {
	at   time.Time
	path string
	was  *item
}

func newStore() store { return store{objects: map[string]*item{}} }

func (s *store) put(path string, i *item) {
	s.undo = append(s.undo, undo{time.Now(), path, s.objects[path]})
	if i == nil {
		delete(s.objects, path)
		return
	}
	s.objects[path] = i
}

// goBack undoes what was done since a moment.
func (s *store) goBack(to time.Time) {
	for n := len(s.undo) - 1; n >= 0 && s.undo[n].at.After(to); n-- {
		if u := s.undo[n]; u.was == nil {
			delete(s.objects, u.path)
		} else {
			s.objects[u.path] = u.was
		}
		s.undo = s.undo[:n]
	}
}

func (s *store) copyOf() map[string]*item { return maps.Clone(s.objects) }

func (s *store) names() []string {
	var names []string
	for path, i := range s.objects {
		if i.Kind == "Namespace" {
			names = append(names, path[len("namespaces/"):])
		}
	}
	slices.Sort(names)
	return names
}

// ServeHTTP is the API server of a host.
func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+token {
		refuse(w, http.StatusUnauthorized, "who are you?")
		return
	}
	var sent item
	if r.Method == http.MethodPost || r.Method == http.MethodPut {
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	c := h.cluster
	c.mu.Lock()
	quorum := h.reachesQuorum()
	accepts := c.has(AcceptsCutOff) && h.broken[drill.Partition] && r.Method == http.MethodPost
	if accepts {
		c.mu.Unlock()
		reply(w, http.StatusCreated, sent)
		return
	}
	if quorum || r.URL.Path == "/version" {
		defer c.mu.Unlock()
		h.answer(w, r, sent)
		return
	}
	c.mu.Unlock()
	// An API server waits for etcd for as long as its client does.
	_ = pause(r.Context(), 10*time.Second)
	refuse(w, http.StatusInternalServerError, "etcdserver: request timed out")
}

// answer answers under the cluster's lock.
func (h *host) answer(w http.ResponseWriter, r *http.Request, sent item) {
	path, api := strings.CutPrefix(r.URL.Path, "/api/v1/")
	if !api {
		switch r.URL.Path {
		case "/readyz":
			_, _ = w.Write([]byte("ok"))
		case "/version":
			reply(w, http.StatusOK, map[string]string{"gitVersion": "v1.37.2"})
		default:
			refuse(w, http.StatusNotFound, "the server could not find the requested resource")
		}
		return
	}
	parts := strings.Split(path, "/")
	s := &h.cluster.store
	if r.Method == http.MethodPost {
		path += "/" + sent.Metadata.Name
	}
	stored := s.objects[path]
	collection := len(parts)%2 == 1
	switch {
	case r.Method == http.MethodGet && collection:
		h.list(w, path+"/")
	case r.Method == http.MethodPost && stored != nil:
		refuse(w, http.StatusConflict, path+" already exists")
	case r.Method == http.MethodPost && len(parts) == 3 && s.objects[strings.Join(parts[:2], "/")] == nil:
		refuse(w, http.StatusNotFound, parts[1]+" not found")
	case r.Method != http.MethodPost && stored == nil:
		refuse(w, http.StatusNotFound, path+" not found")
	case r.Method == http.MethodPut && sent.Metadata.ResourceVersion != stored.Metadata.ResourceVersion:
		refuse(w, http.StatusConflict, "the object has been modified")
	case r.Method == http.MethodGet:
		reply(w, http.StatusOK, stored)
	case r.Method == http.MethodDelete:
		for p := range s.objects {
			if p == path || strings.HasPrefix(p, path+"/") {
				h.cluster.index++
				s.put(p, nil)
			}
		}
		reply(w, http.StatusOK, stored)
	default:
		h.cluster.index++
		sent.Metadata.ResourceVersion = fmt.Sprint(h.cluster.index)
		s.put(path, &sent)
		status := http.StatusOK
		if r.Method == http.MethodPost {
			status = http.StatusCreated
		}
		reply(w, status, sent)
	}
}

func (h *host) list(w http.ResponseWriter, below string) {
	objects := h.cluster.store.objects
	if h.stale != nil {
		objects = h.stale
	}
	list := struct {
		Items []*item `json:"items"`
	}{Items: []*item{}}
	for _, path := range slices.Sorted(maps.Keys(objects)) {
		if strings.HasPrefix(path, below) {
			list.Items = append(list.Items, objects[path])
		}
	}
	reply(w, http.StatusOK, list)
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}

func refuse(w http.ResponseWriter, status int, message string) {
	reply(w, status, map[string]string{"kind": "Status", "message": message})
}
