// The API sends `total_count` with the lists inside objects; the client's types leave it out, as deprecated.

import 'stripe';

declare module 'stripe' {
  namespace Stripe {
    interface ApiList<T> {
      total_count?: number;
    }
  }
}
