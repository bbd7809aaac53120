/* What was measured: latencies in a histogram, and the JSON that is printed in the end. */
#ifndef HELIOGRAPH_BENCHMARKS_FIGURES_H
#define HELIOGRAPH_BENCHMARKS_FIGURES_H

#include "websocket.h"
#include <sys/resource.h>

enum { FINE_BITS = 6, BUCKETS = (64 - FINE_BITS) << FINE_BITS };

/* Latencies in microseconds; a bucket is at most 1.6 % wide, so a minute of them takes no more room than a second. */
struct histogram {
    long long buckets[BUCKETS], count;
    double most_s;
};

static int bucket_of(long long microseconds) {
    if (microseconds < 1 << FINE_BITS) return microseconds < 0 ? 0 : (int)microseconds;
    int magnitude = 63 - __builtin_clzll((unsigned long long)microseconds) - FINE_BITS;
    return ((magnitude + 1) << FINE_BITS) + (int)(microseconds >> magnitude) - (1 << FINE_BITS);
}

static double bucket_start_us(int bucket) {
    if (bucket < 1 << FINE_BITS) return bucket;
    int magnitude = (bucket >> FINE_BITS) - 1;
    return (double)((long long)((bucket & ((1 << FINE_BITS) - 1)) + (1 << FINE_BITS)) << magnitude);
}

static void note_latency(struct histogram *histogram, double seconds) {
    histogram->buckets[bucket_of((long long)(seconds * 1e6))]++;
    histogram->count++;
    if (seconds > histogram->most_s) histogram->most_s = seconds;
}

static double percentile_ms(const struct histogram *histogram, double share) {
    long long rank = (long long)((double)(histogram->count - 1) * share), seen = 0;
    for (int i = 0; i < BUCKETS; i++)
        if ((seen += histogram->buckets[i]) > rank) return bucket_start_us(i) / 1e3;
    return 0;
}

static double own_cpu_s(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double cpu_before_s;

/* Tell whoever started us that all is set up, and wait for the word to begin. */
static void await_go(void) {
    printf("ready\n");
    fflush(stdout);
    if (getchar() == EOF) exit(1);
    cpu_before_s = own_cpu_s();
}

static void print_count(const char *name, long long value) { printf("\"%s\": %lld, ", name, value); }

static void print_latencies(const char *prefix, const struct histogram *histogram) {
    const char *names[] = {"p50", "p90", "p99", "p999"};
    const double shares[] = {0.5, 0.9, 0.99, 0.999};
    for (int i = 0; i < 4; i++) printf("\"%s%s_ms\": %.4f, ", prefix, names[i], percentile_ms(histogram, shares[i]));
    printf("\"%smax_ms\": %.4f, ", prefix, histogram->most_s * 1e3);
}

/* The end of the JSON that `printf("{")` began. */
static void print_end(double seconds) {
    printf("\"seconds\": %.6f, \"cpu_seconds\": %.6f}\n", seconds, own_cpu_s() - cpu_before_s);
    fflush(stdout);
}

#endif
