package link

import "safing/tinker"

// Sealer returns what the writer seals with, while nothing is written.
func (l *Link) Sealer() *tinker.Sealer { return l.writer.sealer }
