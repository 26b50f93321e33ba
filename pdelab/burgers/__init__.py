"""Burgers' equation p_t + (p·D)p = ν Δp for p = Du: the gradient's side of Hamilton-Jacobi.

A conservation law in one dimension (Chaudhari, thesis (4.35); the traffic-flow paper (3.13)), and the gradient of the
Hamilton-Jacobi solution in two and three. Schemes, exact solutions, and traffic as a model that maps onto it. For data
of any kind the inviscid solution is Lax-Oleinik's, p = (x - y*)/t with y* the proximal point `pdelab.proximal`.
"""

from pdelab.burgers.equation import Burgers
from pdelab.burgers.exact import characteristics, riemann, shock_time, travelling_wave
from pdelab.burgers.schemes import engquist_osher, godunov, high_resolution, rusanov
from pdelab.burgers.speed_limits import Road, supply_and_demand
from pdelab.burgers.traffic_flow import Traffic, traffic

__all__ = [
    "Burgers",
    "Road",
    "Traffic",
    "characteristics",
    "engquist_osher",
    "godunov",
    "high_resolution",
    "riemann",
    "rusanov",
    "shock_time",
    "supply_and_demand",
    "traffic",
    "travelling_wave",
]
