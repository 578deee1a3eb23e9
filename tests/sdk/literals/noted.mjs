// The answers of the sandbox to a client, with their types, and the endpoints that gave them.

export class Noted {
  #endpoints;
  #unnoted;

  /** Each with its type. */
  answers = [];

  /** Of the endpoints by name, such as `GET /v1/customers/:id`. */
  constructor(endpoints) {
    this.#endpoints = endpoints.map((name) => ({ name, calls: new RegExp(`^${name.replace(/:\w+/g, '[^/]+')}$`) }));
    this.#unnoted = new Set(endpoints);
  }

  /** A function that notes the answer to the client's last call, and its type. */
  by(stripe) {
    let last;
    stripe.on('response', ({ method, path }) => {
      last = `${method} ${path.split('?')[0]}`;
    });
    return (type, answer) => {
      // If two match, it was the first, as in the sandbox.
      this.#unnoted.delete(this.#endpoints.find(({ calls }) => calls.test(last)).name);
      this.answers.push([type, answer]);
    };
  }

  /** The endpoints of which no answer was noted. */
  get unnoted() {
    return [...this.#unnoted];
  }
}
