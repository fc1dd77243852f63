package authority

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Add takes a signed descriptor from its node. The error is for the node's
// operator.
func (a *Authority) Add(ctx context.Context, signed []byte) error {
	return a.take(ctx, parcel{Kind: kindDescriptor, Signed: bytes.Clone(signed)}, origin{})
}

// AddKeys takes signed keys of a node whose descriptor is known. The error is
// for the node's operator.
func (a *Authority) AddKeys(ctx context.Context, signed []byte) error {
	return a.take(ctx, parcel{Kind: kindKeys, Signed: bytes.Clone(signed)}, origin{})
}

// take judges what a node has sent to us, the cheapest checks first, and passes
// it on to the other authorities.
func (a *Authority) take(ctx context.Context, p parcel, from origin) error {
	if a.nodes.object(p.hash()) != nil {
		return nil
	}
	o, err := a.judge(p)
	if err != nil {
		return err
	}
	o.from = from
	if newest := a.nodes.newest(o.id, o.kind); newest != nil && newest.published.After(o.published) {
		if o.kind == kindKeys {
			return errOldKeys
		}
		return errOldDescriptor
	}
	isNew, err := a.keep(ctx, o)
	if err != nil || !isNew {
		return err
	}
	for _, f := range a.forwards {
		f.add(p)
	}
	return nil
}

// takeFromPeer takes what another authority has passed on. It may be older than
// what we have: others may name it.
func (a *Authority) takeFromPeer(ctx context.Context, p parcel, author uint32) error {
	if p.Kind == kindStatement {
		_, err := a.keepStatement(ctx, p)
		return err
	}
	if a.nodes.object(p.hash()) != nil {
		return nil
	}
	o, err := a.judge(p)
	if err != nil {
		return err
	}
	o.from.author = author
	_, err = a.keep(ctx, o)
	return err
}

// judge verifies what a node has published, and whether it may now.
func (a *Authority) judge(p parcel) (*object, error) {
	now := time.Now()
	o, err := openObject(p, now)
	if err != nil {
		return nil, err
	}
	// Keys stay the same until the node renews them, and say themselves how long they last.
	if off := now.Sub(o.published); off > maxSkew && o.kind != kindKeys || off < -maxSkew {
		return nil, fmt.Errorf("%s published at %s and now is %s: check the node's clock",
			p.Kind, o.published.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	counted := a.limits.descriptors
	if o.kind == kindKeys {
		counted = a.limits.keys
		if _, err := o.keys.Prekey(now); err != nil {
			return nil, err
		}
	} else if err := a.checkAddresses(o); err != nil {
		return nil, err
	}
	return o, a.limits.node(counted, o.id)
}

func (a *Authority) checkAddresses(o *object) error {
	if a.network.PrivateAddresses {
		return nil
	}
	return o.descriptor.CheckPublic()
}

// keep puts an object where it is not forgotten. What comes from a node counts
// as heard of it.
func (a *Authority) keep(ctx context.Context, o *object) (isNew bool, err error) {
	forgotten, isNew, err := a.nodes.put(o)
	if err != nil || !isNew {
		if len(forgotten) > 0 {
			err = errors.Join(err, a.store.forgetObjects(ctx, forgotten))
		}
		return false, err
	}
	if err := a.store.putObject(ctx, o.hash, parcel{o.kind, o.signed}, o.received, forgotten); err != nil {
		return false, err
	}
	a.touch()
	return true, nil
}

// fetchAgreed asks the others for what they name and we lack, for a part of the
// period.
func (a *Authority) fetchAgreed(ctx context.Context, votes []*vote) {
	wanted := a.quorum.agreed(votes)
	a.nodes.pin(wanted)
	if len(a.missing(wanted)) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, a.period/4)
	defer cancel()
	var asking sync.WaitGroup
	for _, p := range a.peers {
		asking.Go(func() {
			for ctx.Err() == nil {
				if err := a.fetch(ctx, p, wanted); err != nil && ctx.Err() == nil {
					a.log.Info("an authority does not hand out what it names", "authority", p.url, "error", err)
				}
				if len(a.missing(wanted)) == 0 {
					cancel()
				}
				wait(ctx, a.pollEvery())
			}
		})
	}
	asking.Wait()
}

// missing returns which of the objects we lack.
func (a *Authority) missing(wanted []digest) (missing []digest) {
	for _, d := range wanted {
		if a.nodes.object(d) == nil {
			missing = append(missing, d)
		}
	}
	return missing
}

// fetch takes what a peer has of what we lack. Descriptors come before keys.
func (a *Authority) fetch(ctx context.Context, p *peer, wanted []digest) error {
	var keys []parcel
	missing := a.missing(wanted)
	for len(missing) > 0 {
		n := min(len(missing), maxBatch)
		all, err := p.objects(ctx, missing[:n])
		if err != nil {
			return err
		}
		for _, got := range all {
			if !slices.Contains(missing[:n], got.hash()) {
				return errors.New("it has sent what was not asked for")
			}
			if got.Kind == kindKeys && len(keys) < maxNodes {
				keys = append(keys, got)
			} else if err := a.keepFetched(ctx, got); err != nil {
				return err
			}
		}
		missing = missing[n:]
	}
	for _, k := range keys {
		if err := a.keepFetched(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

// keepFetched takes what enough authorities name, whatever we think of it and
// whether there is room for it or not.
func (a *Authority) keepFetched(ctx context.Context, p parcel) error {
	o, err := openObject(p, time.Now())
	if err != nil {
		return err
	}
	if _, err := a.keep(ctx, o); err != nil {
		a.log.Debug("what authorities name is kept for this map alone", "node", o.id.Short(), "error", err)
	}
	a.nodes.hold(o)
	return nil
}
