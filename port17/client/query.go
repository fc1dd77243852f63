package client

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"

	"safing/port17/route"
)

// ParseQuery reads for which connection a route is asked:
//
//	destination=HOST:PORT  is needed
//	app=NAME               the application that connects
//	unencrypted=BOOL       the exit can read what is sent
//	exit-country=CODE      the exit is in this country, or in one of several
//
// and what [ParseListener] reads, except country.
func ParseQuery(q url.Values) (Request, error) {
	r, err := ParseRequest(q.Get("destination"))
	if err != nil {
		return r, fmt.Errorf("destination %q: %w", q.Get("destination"), err)
	}
	for _, key := range slices.Sorted(maps.Keys(q)) {
		for _, value := range q[key] {
			if err := r.query(key, value); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

func (r *Request) query(key, value string) (err error) {
	switch key {
	case "destination":
	case "app":
		r.App = value
	case "unencrypted":
		if r.Unencrypted, err = strconv.ParseBool(value); err != nil {
			err = fmt.Errorf("unencrypted=%q: write true or false", value)
		}
	case "exit-country":
		err = addCountry(&r.ExitCountries, key+"="+value, value)
	case "country":
		err = fmt.Errorf("country=%s: write exit-country for where the exit is", value)
	default:
		err = r.set(key + "=" + value)
	}
	return err
}

// Route returns the request for a route that a client would make of this one
// which adds nothing of its own.
func (r Request) Route() (route.Request, error) {
	t, err := r.target()
	if err != nil {
		return route.Request{}, err
	}
	return new(Client).need(r, t).request, nil
}
