export async function billing() {}
