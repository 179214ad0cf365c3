/* The arithmetic of the factored loop by hand: N leaky neurons, rank 3, float32, one loop. Prints ns per neuron and step. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv)
{
    const int n = atoi(argv[1]);
    const long steps = atol(argv[2]);
    const float bias_of_all = atof(argv[3]), dt = 1e-4f, kept = expf(-dt / 0.02f), latent_kept = expf(-dt / 0.1f);
    const float gain = (1 - latent_kept) / dt, refractory = 20;
    float *array[8];
    for (int a = 0; a < 8; a++) array[a] = malloc(n * sizeof(float));
    float *v = array[0], *bias = array[1], *e0 = array[2], *e1 = array[3], *e2 = array[4];
    float *d0 = array[5], *d1 = array[6], *d2 = array[7];
    srand(1);
    for (int j = 0; j < n; j++)
    {
        v[j] = rand() / (float) RAND_MAX;
        bias[j] = bias_of_all;
        for (int a = 2; a < 5; a++) array[a][j] = 2e-3f * (rand() / (float) RAND_MAX - 0.5f);
        for (int a = 5; a < 8; a++) array[a][j] = 2e-3f / n * (rand() / (float) RAND_MAX - 0.5f);
    }
    float z0 = 0.1f, z1 = 0.2f, z2 = 0.3f;
    long spikes = 0;
    struct timespec began, ended;
    clock_gettime(CLOCK_MONOTONIC, &began);
    for (long step = 0; step < steps; step++)
    {
        float s0 = 0, s1 = 0, s2 = 0;
        for (int j = 0; j < n; j++)
        {
            const float current = bias[j] + e0[j] * z0 + e1[j] * z1 + e2[j] * z2, old = v[j];
            float now = current + (old - current) * kept;
            now = now < 0 ? 0 : now;
            now = old < 0 ? old + 1 : now;
            if (now > 1)
            {
                now = -refractory;
                s0 += d0[j];
                s1 += d1[j];
                s2 += d2[j];
                spikes++;
            }
            v[j] = now;
        }
        z0 = latent_kept * z0 + gain * s0;
        z1 = latent_kept * z1 + gain * s1;
        z2 = latent_kept * z2 + gain * s2;
    }
    clock_gettime(CLOCK_MONOTONIC, &ended);
    const double seconds = ended.tv_sec - began.tv_sec + 1e-9 * (ended.tv_nsec - began.tv_nsec);
    printf("%.6f %.3f\n", seconds * 1e9 / n / steps, spikes / (n * steps * (double) dt));
    return 0;
}
