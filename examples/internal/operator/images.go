package operator

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/strictjson"
	"github.com/quorate-dev/quorate/plan/ha/software"
	"github.com/quorate-dev/quorate/plan/ha/statedir"
)

// Images is a list of image archives that are on the hosts already, as a file
// says so: what hosts without a registry have.
type Images struct {
	// Node and ControlPlane archives by their path on the hosts, each with the
	// images in it as containerd lists them.
	Node         map[string][]string `json:"node"`
	ControlPlane map[string][]string `json:"controlPlane,omitempty"`
}

// ReadImages reads such a list; a key that is unknown, differs from one in case or is
// there twice is an error.
func ReadImages(path string) (Images, error) {
	data, err := ReadFile(path)
	if err != nil {
		return Images{}, err
	}
	var images Images
	if err := strictjson.Decode(data, &images, strictjson.Options{MaxSize: maxFile}); err != nil {
		return Images{}, fmt.Errorf("%s: %w", path, err)
	}
	return images, nil
}

// WriteImages keeps a list for ReadImages.
func WriteImages(ctx context.Context, path string, images Images) error {
	data, err := json.MarshalIndent(images, "", "  ")
	if err != nil {
		return err
	}
	return statedir.WriteFile(ctx, path, quorate.Public(append(data, '\n')), 0o644)
}

// Prerequisites checks the programs on the hosts and imports the archives.
func (im Images) Prerequisites() software.Source {
	return software.Pushed{Images: onHosts(im.Node), ControlPlaneImages: onHosts(im.ControlPlane)}
}

func onHosts(byPath map[string][]string) []software.ImageArchive {
	var archives []software.ImageArchive
	for _, path := range slices.Sorted(maps.Keys(byPath)) {
		archive := software.ImageArchive{OnHost: true, Names: byPath[path]}
		archive.Path = path
		archives = append(archives, archive)
	}
	return archives
}
