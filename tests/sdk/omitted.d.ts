// Fields that the API sends and the client's types leave out.

import 'stripe';

declare module 'stripe' {
  namespace Stripe {
    interface ApiList<T> {
      /** On the lists inside objects. The types leave it out as deprecated. */
      total_count?: number;
    }

    namespace PaymentMethod {
      interface Card {
        /** The payment method that the card was made from. */
        generated_from?: object | null;
      }
    }
  }
}
