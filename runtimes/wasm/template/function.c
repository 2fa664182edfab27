// Any language that compiles to WebAssembly will do; this is C without a library. What is exported
// with numbers as arguments and results can be called: see `arguments` and `response` in
// function.yaml.

// The greatest common divisor.
__attribute__((export_name("gcd"))) int gcd(int a, int b)
{
    while (b != 0) {
        int rest = a % b;
        a = b;
        b = rest;
    }
    return a < 0 ? -a : a;
}
