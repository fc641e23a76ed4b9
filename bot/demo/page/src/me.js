// The id of the person the page acts as.
import { createContext } from "react";

export const Me = createContext("");
