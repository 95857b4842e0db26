package drill_test

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/plan/drill"
)

// saved writes the page where the browser finds it.
func saved(t *testing.T, r *drill.Report) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "drill.html")
	require.NoError(t, os.WriteFile(path, []byte(page(t, r)), 0o600))
	return path
}

func faultsScript(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile(filepath.Join("testdata", "faults.js"))
	require.NoError(t, err)
	return string(script)
}

// tall makes the window as high as the page, so that all of it can be measured.
func (p *tab) tall(width int, scheme string) {
	p.t.Helper()
	p.view(width, 800, scheme)
	var height int
	p.evaluate("document.documentElement.scrollHeight", &height)
	p.view(width, min(height, 30_000), scheme)
}

// On a telephone, a tablet and a large screen, light and dark, and on paper, a
// real browser shows each page whole: nothing too wide, no label on another,
// none of too little contrast, no complaint, and no request to any network.
func TestRealPageInABrowser(t *testing.T) {
	tier.Host(t)
	b := startBrowser(t)
	script := faultsScript(t)
	all := reports()
	all["drilled"] = drilled(t)
	for name, r := range all {
		t.Run(name, func(t *testing.T) {
			path := saved(t, r)
			p := b.open(t)
			p.load(path)
			for _, v := range []struct {
				width  int
				scheme string
			}{
				{320, "light"}, {360, "light"}, {360, "dark"}, {768, "print"}, {1120, "print"}, {1600, "light"}, {1600, "dark"},
				{895, "light"}, {896, "light"}, {1151, "dark"}, {1152, "dark"}, // on either side of where the layout changes
			} {
				if (name == "clean" || name == "drilled") && slices.Contains([]int{895, 1120, 1151, 1152}, v.width) {
					continue // it is long, and laid out as the sample is
				}
				p.tall(v.width, v.scheme)
				var faults []string
				p.evaluate(script, &faults)
				require.Empty(t, faults, "%d px, %s", v.width, v.scheme)
				var count struct{ Pictures, Scenarios int }
				p.evaluate(`({pictures: document.querySelectorAll(".picture svg").length, scenarios: document.querySelectorAll(".scenario").length})`, &count)
				require.Equal(t, len(r.Results), count.Scenarios)
				if name != "aborted" && name != "empty" {
					require.Equal(t, len(r.Results)+1, count.Pictures, "one of each scenario, one of the run")
				}
				if name == "sample" || name == "drilled" || name == "clean" && v.width == 360 {
					shot := p.screenshot()
					require.NoError(t, os.WriteFile(filepath.Join(t.ArtifactDir(), fmt.Sprintf("%s-%d-%s.png", name, v.width, v.scheme)), shot, 0o644))
					p.painted(shot)
				}
			}
			require.Empty(t, p.complaints())
			for _, url := range p.requests() {
				require.Equal(t, "file://"+path, url)
			}
			var title string
			p.evaluate("document.title", &title)
			require.NotEqual(t, "owned", title)
		})
	}
}

// painted holds the picture's colours against the screenshot: what the style
// says of a gap is what is seen where it is.
func (p *tab) painted(shot []byte) {
	p.t.Helper()
	img, err := png.Decode(bytes.NewReader(shot))
	require.NoError(p.t, err)
	var gaps []struct{ X, Y, Width, Height float64 }
	p.evaluate(`[...document.querySelectorAll("rect.gap")].map(e => e.getBoundingClientRect()).map(b => ({x: b.x, y: b.y, width: b.width, height: b.height}))`, &gaps)
	for _, g := range gaps {
		if int(g.Y+g.Height) >= img.Bounds().Dy() {
			continue
		}
		box := image.Rect(int(g.X)-1, int(g.Y), int(g.X+g.Width)+2, int(g.Y+g.Height)+1)
		red := 0
		for y := box.Min.Y; y < box.Max.Y; y++ {
			for x := box.Min.X; x < box.Max.X; x++ {
				if r, g, b, _ := img.At(x, y).RGBA(); r > 0x7000 && r > g+0x4000 && r > b+0x4000 {
					red++
				}
			}
		}
		require.GreaterOrEqual(p.t, red, int(g.Height), "a gap at %v is not red", box)
	}
}

// The measuring itself is held to pages that are wrong.
func TestRealBrowserFindsFaults(t *testing.T) {
	tier.Host(t)
	b := startBrowser(t)
	script := faultsScript(t)
	for _, tt := range []struct{ name, spoil, finds string }{
		{"too wide", `document.querySelector("main").style.minWidth = "700px"`, "page: "},
		{"a label on another", `document.querySelectorAll(".timeline .sum")[1].setAttribute("y", document.querySelector(".timeline .sum").getAttribute("y"))`, "overlap: "},
		{"a name over its bar's end", `document.querySelector(".timeline .inside").textContent = "a-name-that-is-far-too-long-for-where-it-is-written"`, "leaves its bar"},
		{"faint", `document.querySelector(".lead").style.color = "rgb(190, 190, 190)"`, "contrast: "},
		{"faint in a picture", `document.querySelector(".timeline .name").style.fill = "rgb(190, 190, 190)"`, "contrast: "},
		{"no picture", `document.querySelector(".timeline svg").setAttribute("height", "0")`, "size: "},
		{"an invisible gap", `document.querySelector(".timeline .gap").setAttribute("width", "0.01%"); document.querySelector(".timeline .gap").style.stroke = "none"`, "size: "},
		{"a row below the picture", `document.querySelector(".timeline .held").setAttribute("y", "5000")`, "outside: "},
		{"a picture without a name", `document.querySelector(".timeline title").textContent = ""`, "name: "},
		{"a link to nowhere", `document.querySelector(".scenario").id = "elsewhere"`, "link: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := b.open(t)
			p.view(360, 800, "light")
			p.load(saved(t, sample()))
			p.tall(360, "light")
			p.evaluate(tt.spoil, nil)
			var faults []string
			p.evaluate(script, &faults)
			require.Contains(t, strings.Join(faults, "\n"), tt.finds)
		})
	}
	t.Run("a policy that forbids the style", func(t *testing.T) {
		p := b.open(t)
		path := filepath.Join(t.TempDir(), "drill.html")
		require.NoError(t, os.WriteFile(path, []byte(strings.Replace(page(t, sample()), "'sha256-", "'sha256-x", 1)), 0o600))
		p.load(path)
		require.NotEmpty(t, p.complaints())
	})
	t.Run("an image from elsewhere", func(t *testing.T) {
		p := b.open(t)
		path := filepath.Join(t.TempDir(), "drill.html")
		require.NoError(t, os.WriteFile(path, []byte(`<img src="other.png">`), 0o600))
		p.load(path)
		require.Len(t, p.requests(), 2)
	})
}
