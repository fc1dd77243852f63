package directory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	publishTimeout = 30 * time.Second
	// publishGrace is how long the others are waited for once an authority has
	// taken something, or a part of a short period: it passes that on to them.
	publishGrace = 5 * time.Second
	gracePart    = 8
)

// ErrRefused means that an authority does not take what was published, and says
// why: it would not take it later either.
var ErrRefused = errors.New("refused")

// Publish sends a signed descriptor to all authorities. It is enough if one of
// them takes it; those that are much slower than that are left to it.
func (c *Client) Publish(ctx context.Context, signed []byte) error {
	return c.publish(ctx, "descriptor", "/v1/descriptors", signed)
}

// PublishKeys sends signed keys to all authorities, which have to have the
// node's descriptor. It is enough if one of them takes them.
func (c *Client) PublishKeys(ctx context.Context, signed []byte) error {
	return c.publish(ctx, "keys", "/v1/keys", signed)
}

// PublishStatement sends to all authorities what the operator of one has signed.
// It is enough if one of them takes it: they pass it on.
func (c *Client) PublishStatement(ctx context.Context, signed []byte) error {
	return c.publish(ctx, "statement", "/v1/statements", signed)
}

func (c *Client) publish(ctx context.Context, what, path string, signed []byte) error {
	authorities := c.config.Network.Authorities
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan error, len(authorities))
	for _, a := range authorities {
		go func() {
			err := c.post(ctx, strings.TrimSuffix(a.URL, "/")+path, signed)
			if err != nil {
				err = fmt.Errorf("publish %s at %s: %w", what, a.URL, err)
			}
			answers <- err
		}()
	}
	period, _ := c.config.Network.Times()
	var errs []error
	for range authorities {
		err := <-answers // all end with ctx
		if err == nil {
			late := time.AfterFunc(min(publishGrace, period/gracePart), cancel)
			defer late.Stop()
		}
		errs = append(errs, err)
	}
	if slices.Contains(errs, nil) {
		return nil
	}
	return errors.Join(errs...)
}

func (c *Client) post(ctx context.Context, url string, signed []byte) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(signed))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/octet-stream")
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusNoContent:
		return nil
	case http.StatusUnprocessableEntity:
		return fmt.Errorf("%w: %w", ErrRefused, refusal(response))
	}
	return refusal(response)
}
