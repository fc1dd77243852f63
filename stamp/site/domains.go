package site

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"safing/stamp/labels"
)

const (
	perPage  = 50
	maxQuery = 253 // bytes that are searched for, a domain's length
)

// domainsPage is what the page "domains" shows.
type domainsPage struct {
	Nav      string
	Query    string // what is searched for
	Label    string // the chosen label, "" for all
	Labels   []labelLink
	All      labelLink
	Entries  []labels.Entry
	Total    int
	First    int // number of the first entry shown, from 1
	Last     int
	Page     int
	Pages    int
	Previous string // address, "" on the first page
	Next     string // address, "" on the last page
	Covers   string // a domain that is searched for and listed through a parent
}

// A labelLink leads to the domains with a label.
type labelLink struct {
	Name    string
	Address string
	Domains int
	Chosen  bool
}

// selection is what the address asks for.
type selection struct {
	query, label string
	page         int // from 1
}

func selected(r *http.Request) selection {
	values := r.URL.Query()
	query := strings.TrimSpace(values.Get("q"))
	if len(query) > maxQuery {
		query = strings.ToValidUTF8(query[:maxQuery], "")
	}
	page, err := strconv.Atoi(values.Get("page"))
	if err != nil {
		page = 1
	}
	return selection{query, values.Get("label"), min(max(page, 1), labels.MaxDomains/perPage+1)}
}

// address leads to the selection.
func (s selection) address() string {
	values := url.Values{}
	if s.query != "" {
		values.Set("q", s.query)
	}
	if s.label != "" {
		values.Set("label", s.label)
	}
	if s.page > 1 {
		values.Set("page", strconv.Itoa(s.page))
	}
	if len(values) == 0 {
		return "/"
	}
	return "/?" + values.Encode()
}

func (s *site) domains(w http.ResponseWriter, r *http.Request) {
	asked := selected(r)
	counts, err := s.store.Labels(r.Context())
	if err != nil {
		s.fail(w, r, err)
		return
	}
	page := &domainsPage{Nav: "domains", Query: asked.query, Label: asked.label, Page: asked.page}
	if !page.labels(counts, asked) {
		s.fail(w, r, labels.ErrNoLabel)
		return
	}
	found, err := s.store.Find(r.Context(), labels.Query{
		Label: asked.label, Text: asked.query, Limit: perPage, Skip: (asked.page - 1) * perPage,
	})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if last := max((found.Total+perPage-1)/perPage, 1); asked.page > last {
		asked.page = last
		http.Redirect(w, r, asked.address(), http.StatusFound)
		return
	}
	page.entries(found, asked)
	s.render(w, r, http.StatusOK, "domains", page)
}

// labels fills in the links to labels. It is false when the label that is
// asked for does not exist.
func (p *domainsPage) labels(counts []labels.Count, asked selection) bool {
	known := asked.label == ""
	for _, c := range counts {
		p.All.Domains += c.Domains
		link := labelLink{c.Label, selection{asked.query, c.Label, 1}.address(), c.Domains, c.Label == asked.label}
		p.Labels = append(p.Labels, link)
		known = known || link.Chosen
	}
	p.All.Name, p.All.Address, p.All.Chosen = "All", selection{asked.query, "", 1}.address(), asked.label == ""
	return known
}

// entries fills in the entries and where among all they are.
func (p *domainsPage) entries(found *labels.Page, asked selection) {
	p.Entries, p.Total = found.Entries, found.Total
	p.Pages = max((found.Total+perPage-1)/perPage, 1)
	if p.First = (asked.page-1)*perPage + 1; found.Total == 0 {
		p.First = 0
	}
	p.Last = min(asked.page*perPage, found.Total)
	if asked.page > 1 {
		p.Previous = selection{asked.query, asked.label, asked.page - 1}.address()
	}
	if asked.page < p.Pages {
		p.Next = selection{asked.query, asked.label, asked.page + 1}.address()
	}
	domain, err := labels.ParseDomain(asked.query)
	if err != nil {
		return
	}
	for _, e := range found.Entries {
		if strings.HasSuffix(domain, "."+e.Domain) {
			p.Covers = domain
		}
	}
}
