// Fields that the API sends and the client's types leave out.

import 'stripe';

declare module 'stripe' {
  namespace Stripe {
    interface ApiList<T> {
      /** On the lists inside objects. The types leave it out as deprecated. */
      total_count?: number;
    }

    interface Charge {
      /** From before payment methods; always null. */
      order?: null;
    }

    interface CreditNote {
      /** When it was issued, in Unix seconds. */
      effective_at?: number | null;
    }

    interface Invoice {
      /** When it was finalized, in Unix seconds. */
      effective_at?: number | null;

      /** The metadata of the subscription when the invoice was made. */
      subscription_details?: object | null;
    }

    interface Subscription {
      /** The plan of the only item. */
      plan?: object | null;

      /** The quantity of the only item. */
      quantity?: number;
    }

    namespace PaymentMethod {
      interface Card {
        /** The payment method that the card was made from. */
        generated_from?: object | null;
      }
    }
  }
}
